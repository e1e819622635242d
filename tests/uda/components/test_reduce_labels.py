import torch

from mmseg_uda.uda.components.reduce_labels import nearest_labels


def test_nearest_is_the_floor_of_the_scaled_index():
    labels = torch.randint(0, 20, (2, 75, 109)).masked_fill(torch.rand(2, 75, 109) < 0.1, 255)
    rows = torch.arange(10) * 75 // 10
    columns = torch.arange(14) * 109 // 14
    small = nearest_labels(labels, (10, 14))
    assert small.dtype == torch.int64
    assert torch.equal(small, labels[:, rows][:, :, columns])


def test_the_same_size_changes_nothing():
    labels = torch.randint(0, 256, (1, 5, 7))
    assert torch.equal(nearest_labels(labels, (5, 7)), labels)
