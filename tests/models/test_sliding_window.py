import pytest
import torch

from mmseg_uda.models.sliding_window import sliding_window_logits, window_boxes
from tests.precision import assert_same


@pytest.mark.parametrize('size', [(70, 115), (48, 48), (20, 100), (47, 49), (96, 112)])
def test_windows_cover_the_image_and_keep_their_size(size):
    crop, stride = (48, 48), (24, 32)
    seen = torch.zeros(size)
    boxes = window_boxes(size, crop, stride)
    for y1, y2, x1, x2 in boxes:
        assert (y2 - y1, x2 - x1) == (min(48, size[0]), min(48, size[1]))
        seen[y1:y2, x1:x2] += 1
    assert (seen > 0).all()
    grid = [max(s - c + d - 1, 0) // d + 1 for s, c, d in zip(size, crop, stride, strict=True)]
    assert len(boxes) == grid[0] * grid[1]


def test_last_window_is_moved_back_and_rows_come_first():
    boxes = window_boxes((10, 9), (4, 6), (4, 6))
    assert boxes == [
        (0, 4, 0, 6),
        (0, 4, 3, 9),
        (4, 8, 0, 6),
        (4, 8, 3, 9),
        (6, 10, 0, 6),
        (6, 10, 3, 9),
    ]


@pytest.mark.parametrize('at_once', [1, 4, None])
def test_a_pixelwise_network_is_unchanged_by_windows(float64, at_once):
    images = torch.randn(2, 3, 13, 17)
    weight = torch.randn(5, 3)

    def network(x):
        return torch.einsum('kc,bchw->bkhw', weight, x)

    out = sliding_window_logits(network, images, (8, 8), (4, 6), at_once)
    assert_same(out, network(images))


def test_windows_are_averaged_by_visits():
    numbers = iter(range(1, 100))

    def network(x):
        return torch.full((len(x), 1, *x.shape[2:]), float(next(numbers)))

    out = sliding_window_logits(network, torch.zeros(1, 3, 4, 6), (4, 4), (4, 2))
    assert out[0, 0, 0].tolist() == [1, 1, 1.5, 1.5, 2, 2]


@pytest.mark.parametrize('batch', [1, 2])
def test_batched_windows_keep_images_apart(float64, batch):
    images = torch.arange(batch).double().view(-1, 1, 1, 1).expand(-1, 3, 5, 7)
    out = sliding_window_logits(lambda x: x[:, :1], images, (3, 3), (2, 2), at_once=None)
    assert_same(out, images[:, :1])


def test_windows_of_coarse_logits_are_put_together(float64):
    images = torch.randn(2, 3, 16, 24)

    def network(x):
        return torch.nn.functional.avg_pool2d(x, 4)

    out = sliding_window_logits(network, images, (8, 8), (4, 4), at_once=3, cell=4)
    assert_same(out, network(images))


def test_so_many_windows_at_once():
    sizes = []

    def network(x):
        sizes.append(len(x))
        return x

    sliding_window_logits(network, torch.zeros(2, 1, 4, 10), (4, 4), (4, 2), at_once=3)
    assert sizes == [6, 2]
