from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn import functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components import category_dictionary
from mmseg_uda.uda.components.category_dictionary import CategoryDictionary, filling_problems
from mmseg_uda.uda.components.host_copy import HostCopy
from tests.precision import assert_same
from tests.uda.ranks import process_group
from tests.uda.steps import no_host_round_trips

CLASSES, CHANNELS = 4, 3


def images(seed, number=2, classes=CLASSES):
    """Features, labels at twice their size with ignored pixels, and class probabilities."""
    torch.manual_seed(seed)
    features = torch.randn(number, CHANNELS, 4, 6)
    labels = torch.randint(0, classes + 1, (number, 8, 12))
    logits = 8 * torch.randn(number, CLASSES, 4, 6)
    return features, labels.masked_fill(labels == classes, 255), logits.softmax(dim=1)


def filled(capacity=3, updates=3) -> CategoryDictionary:
    dictionary = CategoryDictionary(CLASSES, CHANNELS, capacity)
    for seed in range(updates):
        features, labels, probabilities = images(seed)
        dictionary.add_labelled(features, labels)
        dictionary.add_predicted(features.flip(0), probabilities)
    return dictionary


def newest_last(dictionary, train_id):
    """(keys, probabilities) of a class, in the order in which they were added."""
    length, appended = int(dictionary.lengths[train_id]), int(dictionary.appended[train_id])
    order = [place % dictionary.capacity for place in range(appended - length, appended)]
    return dictionary.keys[train_id, order], dictionary.probabilities[train_id, order]


def test_each_image_adds_the_mean_of_each_of_its_classes(float64):
    dictionary, expected = CategoryDictionary(CLASSES, CHANNELS, 3), [[] for _ in range(CLASSES)]
    for seed in range(3):
        features, labels, probabilities = images(seed)
        dictionary.add_labelled(features, labels)
        dictionary.add_predicted(features.flip(0), probabilities)
        sure, best = probabilities.max(dim=1)
        one_hot = F.one_hot(labels[:, ::2, ::2].clamp(max=CLASSES), CLASSES + 1)[..., :CLASSES]
        for maps, own, chances in (
            (features, labels[:, ::2, ::2], one_hot.double().permute(0, 3, 1, 2)),
            (features.flip(0), best.where(sure >= 0.9, 255), probabilities),
        ):
            for image in range(2):
                for train_id, queue in enumerate(expected):
                    cells = own[image] == train_id
                    if cells.any():
                        means = [x[image][:, cells].mean(dim=1) for x in (maps, chances)]
                        queue.append(means)
    assert min(map(len, expected)) > 3  # every queue has lost its oldest keys
    for train_id, queue in enumerate(expected):
        for found, means in zip(
            newest_last(dictionary, train_id), zip(*queue[-3:], strict=True), strict=True
        ):
            assert_same(found, torch.stack(means))


def test_the_confidence_is_compared_in_float32():
    """0.9 in float32 is below 0.9 in float64."""
    at_threshold = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1)
    just_below = torch.nextafter(at_threshold, torch.zeros(()))
    for probabilities, number in ((at_threshold, 1), (just_below, 0), (just_below.bfloat16(), 0)):
        dictionary = CategoryDictionary(2, 1)
        dictionary.add_predicted(torch.ones(1, 1, 1, 1), probabilities)
        assert dictionary.lengths.tolist() == [number, 0]


def test_a_class_of_both_domains_advances_twice():
    dictionary = CategoryDictionary(2, 1)
    sure = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    dictionary.add_labelled(torch.full((1, 1, 1, 1), 3.0), torch.zeros(1, 1, 1))
    dictionary.add_predicted(torch.full((1, 1, 1, 1), 5.0), sure)
    assert dictionary.keys[0, :3].flatten().tolist() == [3, 5, 0]
    assert dictionary.lengths.tolist() == [2, 0]


def test_reliability_falls_with_the_entropy():
    dictionary = CategoryDictionary(4, 1, capacity=4)
    dictionary.probabilities[0, :3] = torch.tensor(
        [[1.0, 0.0, 0.0, 0.0], [0.97, 0.01, 0.01, 0.01], [0.25, 0.25, 0.25, 0.25]]
    )
    dictionary.appended[0] = 3
    sure, middle, unsure, empty = dictionary.reliability()[0].tolist()
    entropy = (
        -(0.97 * torch.tensor(0.97).log() + 0.03 * torch.tensor(0.01).log())
        / torch.tensor(4.0).log()
    )
    assert (sure, unsure, empty) == (pytest.approx(1.1), pytest.approx(0.9), 0)
    assert middle == pytest.approx(1.1 - entropy.item())
    assert not dictionary.reliability()[1:].any()


def test_only_filled_places_are_contrasted():
    dictionary = filled(capacity=9, updates=1)
    features, labels, _ = images(7)
    loss = dictionary.contrast(features, labels)
    dictionary.keys[~dictionary.filled] = 100
    assert dictionary.contrast(features, labels) == loss > 0
    features = features.requires_grad_()
    dictionary.contrast(features, labels).backward()
    assert features.grad.any()


def test_full_when_the_last_place_is_filled(monkeypatch):
    """Until then every answer is right, with as few reads as can be; then nothing is read."""
    reads = []
    copy = lambda tensor: reads.append(tensor) or HostCopy(tensor)  # noqa: E731
    monkeypatch.setattr(category_dictionary, 'HostCopy', copy)
    dictionary, answers = CategoryDictionary(CLASSES, CHANNELS, 4), []
    for seed in range(12):
        # the last class occurs in every third step
        features, labels, _ = images(seed, number=1, classes=CLASSES - (seed % 3 > 0))
        dictionary.add_labelled(features, labels)
        answers.append(dictionary.is_full())
        assert answers[-1] == bool(dictionary.filled.all())
    assert answers == [False] * 9 + [True] * 3
    assert len(reads) == 5  # after 4, 6, 8, 9 and 10 images: the others cannot have been the last
    with no_host_round_trips():
        dictionary.add_labelled(features, labels)
        assert dictionary.is_full()


def test_nothing_is_read_before_the_dictionary_can_be_full():
    dictionary = CategoryDictionary(CLASSES, CHANNELS, capacity=5)
    features, labels, probabilities = images(0)
    with no_host_round_trips():
        dictionary.add_labelled(features, labels)
        dictionary.add_predicted(features, probabilities)
        assert not dictionary.is_full()
        dictionary.contrast(features, labels)


def test_a_step_stays_on_its_device(monkeypatch):
    """Meta tensors have no values: reading one or mixing it with the host's fails."""
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # meta has none
    dictionary = CategoryDictionary(CLASSES, CHANNELS, capacity=5).to('meta')
    features, labels, probabilities = (tensor.to('meta') for tensor in images(0))
    dictionary.add_labelled(features, labels)
    dictionary.add_predicted(features, probabilities)
    loss = dictionary.contrast(features.requires_grad_(), labels)
    assert not dictionary.is_full() and loss.device.type == 'meta'
    assert {value.device.type for value in dictionary.state_dict().values()} == {'meta'}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')
def test_a_gpu_answers_as_the_cpu():
    answers = []
    for device in ('cpu', 'cuda'):
        dictionary = CategoryDictionary(CLASSES, CHANNELS, capacity=3).to(device)
        for seed in range(4):
            features, labels, probabilities = (tensor.to(device) for tensor in images(seed))
            dictionary.add_labelled(features, labels)
            dictionary.add_predicted(features, probabilities)
            answers.append(dictionary.is_full())
        values = (dictionary.keys, dictionary.contrast(features, labels))
        answers.append([value.cpu() for value in values])
    half = len(answers) // 2
    assert answers[: half - 1] == answers[half:-1] and answers[half - 2]
    torch.testing.assert_close(answers[half - 1], answers[-1])


def test_half_precision_features_are_averaged_in_float32():
    features, labels, probabilities = images(0)
    half, full = (CategoryDictionary(CLASSES, CHANNELS) for _ in 'ab')
    with torch.autocast('cpu', torch.bfloat16):
        half.add_labelled(features.bfloat16(), labels)
        half.add_predicted(features.bfloat16(), probabilities)
    full.add_labelled(features.bfloat16().float(), labels)
    full.add_predicted(features.bfloat16().float(), probabilities)
    assert half.keys.any() and torch.equal(half.keys, full.keys)


@pytest.mark.parametrize(('capacity', 'full'), [(2, True), (20, False)])
def test_the_state_resumes(capacity, full):
    dictionary, resumed = filled(capacity), CategoryDictionary(CLASSES, CHANNELS, capacity)
    assert dictionary.is_full() is full
    resumed.load_state_dict(dictionary.state_dict())
    assert resumed.is_full() is full
    for one in (dictionary, resumed):
        one.add_labelled(*images(5)[:2])
    for name, value in dictionary.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    full_one = filled(2)
    assert full_one.is_full()
    full_one.load_state_dict(CategoryDictionary(CLASSES, CHANNELS, 2).state_dict())
    assert not full_one.is_full()


@pytest.mark.parametrize('options', [dict(capacity=0), dict(clamp=1.0), dict(clamp=-0.1)])
def test_bad_options(options):
    with pytest.raises(UserError, match=next(iter(options))):
        CategoryDictionary(2, 1, **options)


def test_a_class_that_the_source_lacks_is_named(monkeypatch):
    dataset = SimpleNamespace(source=None)
    for absent in ([], ['car', 'train']):
        monkeypatch.setattr(category_dictionary, 'absent_classes', lambda source, of=absent: of)
        problems = list(filling_problems(dataset))
        assert len(problems) == bool(absent)
    assert 'no pixel of car, train: the dictionary of these classes stays empty' in problems[0]


def share_of(rank, world_size, seed):
    number = 4 // world_size
    part = slice(rank * number, (rank + 1) * number)
    return [tensor[part] for tensor in images(seed, number=4)]


def run(rank, world_size):
    """State after three updates, and the loss of the own images."""
    dictionary = CategoryDictionary(CLASSES, CHANNELS, capacity=5)
    for seed in range(3):
        features, labels, probabilities = share_of(rank, world_size, seed)
        dictionary.add_labelled(features, labels)
        dictionary.add_predicted(features + 1, probabilities)
    features, labels, _ = share_of(rank, world_size, 9)
    return dictionary.state_dict(), dictionary.contrast(features, labels)


def two_ranks(rank, folder):
    with process_group(rank, 2, folder / 'rendezvous'):
        state, loss = run(rank, 2)
        torch.distributed.all_reduce(loss)
    with process_group(0, 1, folder):
        expected, whole = run(0, 1)
    assert_same(state, expected)
    assert_same(loss / 2, whole)


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    mp.spawn(two_ranks, (tmp_path,), nprocs=2)
