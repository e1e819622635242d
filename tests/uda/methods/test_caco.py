from math import log
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components import category_dictionary
from mmseg_uda.uda.components.draws import StepDraws
from tests.precision import assert_same
from tests.uda.conftest import build, multi_level, uda_batch
from tests.uda.steps import steps


def caco(network=None, teacher=None, confidence=0.05, capacity=100, **contrast):
    dictionary = dict(confidence=confidence, capacity=capacity)
    options = dict(contrast=dict(dictionary=dictionary, **contrast), teacher=teacher)
    return build(dict(type='CaCo', segmentor=network or multi_level(norm='GN'), **options))


def resized(maps, size):
    return F.interpolate(maps, size, mode='bilinear', align_corners=False)


def naive_contrast(features, labels, keys):
    """Features (B, A, h, w), labels (B, h, w); list of (class, key, probabilities)."""
    classes = torch.tensor([train_id for train_id, *_ in keys])
    vectors = F.normalize(torch.stack([key for _, key, _ in keys]), dim=1)
    chances = torch.stack([p for *_, p in keys])
    entropy = -(chances * (chances + 1e-30).log()).sum(1) / log(19)
    reliability = (1 - entropy + 0.1).clamp(0.9, 1.1)
    queries = F.normalize(features, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    similarity = queries @ vectors.T / 0.07
    weighted = similarity.exp() * reliability
    share = (weighted / weighted.sum(1, keepdim=True)).log()
    positive = labels.flatten().unsqueeze(1) == classes
    return -(share * positive).sum(1).mean() / len(keys)


def naive_keys(features, labels, chances):
    """The keys of each image in turn, by class."""
    for maps, own, p in zip(features, labels, chances, strict=True):
        for train_id in range(19):
            cells = own == train_id
            if cells.any():
                yield train_id, maps[:, cells].mean(1), p[:, cells].mean(1)


def naive_step(method, batch):
    """The losses of the first step."""
    student, losses = method.student, {}
    source, target = batch.source, batch.target.images
    with torch.no_grad():
        maps = student.features(source.images)[-1]
        cell = source.labels.shape[1] // maps.shape[2]
        labels = source.labels[:, ::cell, ::cell]
        one_hot = F.one_hot(labels.clamp(max=19), 20)[..., :19].permute(0, 3, 1, 2)
        keys = list(naive_keys(maps, labels, one_hot.to(maps)))
        teacher = method.teacher.network.whole_pass(target)
        size = teacher.features[-1].shape[2:]
        chances = resized(teacher.logits, size).softmax(1)
        sure, queried = chances.max(1)
        threshold = method.categories.dictionary.confidence = sure.mean().item()
        confident = queried.where(sure >= threshold, 255)
        keys += list(naive_keys(teacher.features[-1], confident, chances))
    percent = StepDraws(0, 0, 2).percentage(80, 120)
    side = round(target.shape[2] * percent / 800) * 8
    view = F.interpolate(target, (side, side), mode='bilinear', align_corners=True)
    query = student.whole_pass(view)
    for name, level in teacher.levels.items():
        found = resized(query.levels[name], level.shape[2:]).softmax(1)
        losses[f'caco.loss_consistency.{name}'] = (found - level.softmax(1)).abs().mean()
    features = resized(query.features[-1], size)
    losses['caco.loss_contrast'] = 0.01 * naive_contrast(features, queried, keys)
    return losses | {'caco.keys': torch.tensor(float(len(keys)))}


def test_a_step_is_that_of_the_paper(float64):
    method, batch = caco(wait=False), uda_batch(size=128)
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.mul_(1.05)
    step = method.begin(batch)
    expected = naive_step(method, batch)
    source, target = method.passes(step)
    assert {'decode.loss_seg', 'decode.aux.loss_seg'} < source.keys()
    assert expected.keys() == target.keys() >= {'caco.loss_consistency.aux'}
    assert_same(target, expected)
    first = list(method.student.backbone.parameters())[:2]
    for name in expected.keys() - {'caco.keys'}:
        found, wanted = (
            torch.autograd.grad(losses[name], first, retain_graph=True)
            for losses in (target, expected)
        )
        assert all(gradient.any() for gradient in found)
        assert_same(found, wanted, name)


def test_the_contrast_waits_until_the_dictionary_is_full():
    """Two images of half of the classes a step: full after four steps."""
    method = caco(capacity=4, confidence=2.0)  # no prediction is confident
    logs = steps(method, 5, batches=batch_of_half_the_classes)
    assert [int(log['caco.keys']) for log in logs] == [20, 38, 58, 76, 76]
    assert ['caco.loss_contrast' in log for log in logs] == [False, False, False, True, True]


def batch_of_half_the_classes(iteration):
    """Its cells of 32 pixels hold even classes in even iterations, else odd ones."""
    batch = uda_batch(size=128, seed=iteration)
    cells = (torch.arange(16) % 10 * 2 + iteration % 2).clamp(max=18 - iteration % 2)
    labels = cells.view(1, 4, 4).repeat_interleave(32, 1).repeat_interleave(32, 2)
    batch.source.labels = labels.expand(2, -1, -1)
    return batch


@pytest.mark.parametrize('domains', ['source', 'target', 'both'])
def test_the_dictionary_holds_keys_of_the_chosen_domains(domains):
    method, added = caco(domains=domains), []
    dictionary = method.categories.dictionary
    for name in ('add_labelled', 'add_predicted'):
        original = getattr(dictionary, name)
        setattr(dictionary, name, lambda *a, n=name, f=original: (added.append(n), f(*a)))
    steps(method, 1)
    expected = dict(source=['add_labelled'], target=['add_predicted'])
    assert added == expected.get(domains, ['add_labelled', 'add_predicted'])
    assert dictionary.lengths.any()


def test_the_teacher_follows_before_the_step_with_copied_buffers(float64):
    network = multi_level(norm='BN')
    method = caco(network, teacher=dict(alpha=0.75))
    steps(method, 1)
    before = {n: v.clone() for n, v in method.teacher.network.state_dict().items()}
    student = {n: v.clone() for n, v in method.student.state_dict().items()}
    steps(method, 1, batches=lambda _: uda_batch(seed=1))
    names = dict(method.student.named_parameters()).keys()
    after = method.teacher.network.state_dict()
    for name in names:
        assert_same(after[name], 0.75 * before[name] + 0.25 * student[name], name)
    assert method.teacher.network.training and method.teacher.threshold is None


def test_a_dictionary_that_cannot_fill_is_reported(monkeypatch):
    monkeypatch.setattr(category_dictionary, 'absent_classes', lambda source: ['train'])
    data = TrainingData(SimpleNamespace(source=None), 19, (64, 64), (64, 64), {})
    (problem,) = caco().problems(data)
    assert 'the source labels have no pixel of train' in problem
    assert not list(caco(wait=False).problems(data))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(domains='all'), "domains is 'all', it must be one of source, target, both"),
        (dict(scales=(1.2, 0.8)), r'scales of rescaled target images are \(1.2, 0.8\)'),
        (dict(scales=(0, 1)), 'must be a smaller and a larger number above 0'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        caco(**options)
