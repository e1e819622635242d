import torch

from mmseg_uda.uda.components.class_statistics import ClassStatistics
from tests.precision import assert_same

CLASSES, CHANNELS = 5, 8


def embeddings(seed, images=2, size=6):
    generator = torch.Generator().manual_seed(seed)
    maps = 0.2 + 0.3 * torch.randn(images, CHANNELS, size, size, generator=generator)
    labels = torch.randint(0, CLASSES, (images, size, size), generator=generator)  # 4 = ignored
    return maps, labels.masked_fill(labels == CLASSES - 1, 255)


def rows(maps, labels):
    return maps.permute(0, 2, 3, 1)[labels != 255], labels[labels != 255]


def test_many_updates_give_the_statistics_of_all_embeddings_together(float64):
    statistics = ClassStatistics(CLASSES, CHANNELS)
    batches = [embeddings(seed) for seed in range(4)]
    for batch in batches:
        statistics.update(*batch)
    vectors, labels = (torch.cat(parts) for parts in zip(*(rows(*b) for b in batches), strict=True))
    for k in range(CLASSES - 1):
        own = vectors[labels == k]
        assert statistics.count[k] == len(own)
        assert_same(statistics.mean[k], own.mean(dim=0))
        assert_same(statistics.variance[k], own.var(dim=0, correction=0))


def test_a_class_that_never_occurs_stays_at_zero():
    statistics = ClassStatistics(CLASSES, CHANNELS, bank_size=3)
    statistics.update(*embeddings(0))
    absent = CLASSES - 1
    assert statistics.count[absent] == 0 and not statistics.mean[absent].any()
    assert statistics.lengths[absent] == 1 and not statistics.bank[absent].any()


def test_the_bank_is_a_queue_that_begins_with_a_zero_row(float64):
    statistics = ClassStatistics(CLASSES, CHANNELS, bank_size=3)
    means, lengths = [torch.zeros(CHANNELS)], []
    for seed in range(5):
        maps, labels = embeddings(seed)
        statistics.update(maps, labels)
        vectors, own = rows(maps, labels)
        means.append(vectors[own == 0].mean(dim=0))
        lengths.append(int(statistics.lengths[0]))
        held = statistics.bank[0].sort(dim=0).values
        newest = torch.stack((means + [torch.zeros(CHANNELS)] * 3)[:3] if seed < 1 else means[-3:])
        assert_same(held, newest.sort(dim=0).values)
    assert lengths == [2, 3, 3, 3, 3]


def test_without_any_label_nothing_changes():
    statistics = ClassStatistics(CLASSES, CHANNELS, bank_size=3)
    statistics.update(*embeddings(0))
    before = {name: value.clone() for name, value in statistics.state_dict().items()}
    maps, labels = embeddings(1)
    statistics.update(maps, torch.full_like(labels, 255))
    for name, value in statistics.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_state_is_in_the_state_dict():
    assert set(ClassStatistics(CLASSES, CHANNELS).state_dict()) == {
        'mean',
        'variance',
        'count',
        'bank',
        'appended',
    }
