import torch

from mmseg_uda.uda.components.class_memory import all_images, class_members, class_sums
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
