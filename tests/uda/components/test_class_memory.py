from collections import deque

import torch

from mmseg_uda.uda.components.class_memory import (
    ClassRings,
    all_images,
    class_members,
    class_sums,
)
from tests.precision import assert_same


def test_sums_by_class_and_image(float64):
    maps = torch.randn(2, 3, 20)
    labels = torch.randint(0, 4, (2, 4, 5)).masked_fill(torch.rand(2, 4, 5) < 0.2, 255)
    members = class_members(labels, 4, torch.float64)
    sums = class_sums(maps, members)
    for image in range(2):
        for train_id in range(4):
            own = labels[image].flatten() == train_id
            assert members[image, train_id].sum() == own.sum()
            assert_same(sums[image, train_id], maps[image][:, own].sum(dim=1))


def test_alone_a_rank_has_all_images():
    values = torch.randn(3, 2)
    assert torch.equal(all_images(values), values)


def test_rings_are_queues_of_each_class():
    torch.manual_seed(0)
    rings = ClassRings(3, capacity=4, key=(2,), number=())
    queues = [deque(maxlen=4) for _ in range(3)]
    for step in range(9):
        present = torch.rand(3) < torch.tensor([1.0, 0.6, 0.0])
        keys, numbers = torch.randn(3, 2), torch.full((3,), float(step))
        rings.append(present, key=keys, number=numbers)
        for queue, is_present, key in zip(queues, present, keys, strict=True):
            if is_present:
                queue.append((step, key))
        assert rings.lengths.tolist() == [len(queue) for queue in queues]
        assert torch.equal(rings.filled.sum(dim=1), rings.lengths)
        for train_id, queue in enumerate(queues):
            order = [int(step) for step in rings.number[train_id][rings.filled[train_id]]]
            assert sorted(order) == [step for step, _ in queue]
            for step, key in queue:
                assert torch.equal(rings.key[train_id, order.index(step)], key)
    assert not rings.key[2].any()


def test_rings_without_capacity_hold_nothing():
    rings = ClassRings(2, capacity=0, key=(3,))
    rings.append(torch.tensor([True, True]), key=torch.ones(2, 3))
    assert rings.lengths.tolist() == [0, 0] and rings.filled.shape == (2, 0)
