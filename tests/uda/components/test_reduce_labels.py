import torch

from mmseg_uda.uda.components.reduce_labels import nearest_labels, reduce_labels


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


def naive(labels, factor, num_classes, min_ratio):
    batch, height, width = labels.shape
    small = torch.full((batch, height // factor, width // factor), 255)
    for b, y, x in torch.cartesian_prod(*(torch.arange(n) for n in small.shape)).tolist():
        rows = slice(y * factor, (y + 1) * factor)
        cell = labels[b, rows, x * factor : (x + 1) * factor].flatten().tolist()
        leader = max(range(num_classes), key=cell.count)
        share = cell.count(leader) / factor**2
        if share >= min_ratio and cell.count(leader) >= cell.count(255):
            small[b, y, x] = leader
    return small


def test_reduced_labels_are_the_dominant_ones():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 16, 24), generator=generator).masked_fill_(
        torch.rand((2, 16, 24), generator=generator) < 0.2, 255
    )
    labels[:, :8, :8] = 2
    labels[0, 0, 0] = 255
    assert torch.equal(reduce_labels(labels, (4, 6), 3, 0.6), naive(labels, 4, 3, 0.6))


def test_cells_need_not_be_square():
    labels = torch.tensor([[[0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2]]])
    assert reduce_labels(labels, (1, 3), 3, 0.75).tolist() == [[[0, 1, 2]]]
    assert reduce_labels(labels, (2, 2), 3, 0.6).tolist() == [[[0, 2], [0, 2]]]


def test_labels_are_resized_to_the_next_multiples_of_the_cells():
    """The last cells of a map that was rounded up cover what is left of the image."""
    labels = torch.arange(9).view(1, 1, 9).expand(1, 9, 9) // 3
    whole = reduce_labels(labels, (3, 3), 3, 0.75)
    assert torch.equal(whole[0, 0], torch.arange(3))
    resized = reduce_labels(labels, (2, 2), 3, 0.4)  # 9 -> 10 pixels, cells of 5
    assert torch.equal(resized, reduce_labels(nearest_labels(labels, (10, 10)), (2, 2), 3, 0.4))
    assert resized.tolist() == [[[0, 2], [0, 2]]]
