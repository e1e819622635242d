import torch
import torch.nn.functional as F

from mmseg_uda.uda.components.class_balanced_crop import cut
from mmseg_uda.uda.components.warp import compose, inverse, warp, window
from tests.precision import assert_same

IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def random_geometry(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return IDENTITY + 0.3 * torch.randn(*shape, 2, 3, generator=generator)


def zoom_geometry(flip: int, top: int, left: int, size, image_size) -> torch.Tensor:
    """The published matrix of a view: a window of the flipped image, resized to its size."""
    (h, w), (height, width) = size, image_size
    dy, dx = top + h / 2 - height / 2, left + w / 2 - width / 2
    s = h / height
    return torch.tensor([[flip, 0, -dx / (width // 2)], [0, 1, -dy / (height // 2)]]) / s


def test_the_inverse_undoes_a_geometry(float64):
    geometry = random_geometry(4, 3).double()
    for both in (compose(geometry, inverse(geometry)), compose(inverse(geometry), geometry)):
        assert_same(both, IDENTITY.double().expand(4, 3, -1, -1))


def test_compose_applies_the_first_one_first(float64):
    second, first = random_geometry(2).double()
    point = torch.tensor([0.3, -0.7, 1.0])
    moved = torch.cat((first @ point, torch.ones(1)))
    assert_same(compose(second, first) @ point, second @ moved)


def test_a_zoomed_and_flipped_view_returns_to_its_place(float64):
    """Without loss, where the zoom only repeated pixels."""
    image = torch.rand(1, 2, 8, 16)
    for flip in (1, -1):
        top, left, size = 2, 7, (4, 8)
        seen = image if flip == 1 else image.flip(3)
        crop = seen[..., top : top + 4, left : left + 8]
        view = crop.repeat_interleave(2, 2).repeat_interleave(2, 3)
        geometry = zoom_geometry(flip, top, left, size, (8, 16)).double()
        expected = torch.zeros_like(image)
        expected[..., top : top + 4, left : left + 8] = crop
        expected = expected if flip == 1 else expected.flip(3)
        assert_same(warp(view, geometry[None]), expected)


def test_the_inverse_makes_the_view_of_an_image(float64):
    image = torch.rand(1, 2, 8, 16)
    geometry = zoom_geometry(-1, 2, 7, (4, 8), (8, 16)).double()[None]
    view = warp(image, inverse(geometry))
    # The mean of pixels 2i and 2i + 1 of the view is that of a pixel with its neighbours.
    cells = view.unflatten(3, (8, 2)).mean(4).unflatten(2, (4, 2)).mean(3)
    padded = image.flip(3)[..., 1:7, 6:16]
    kernel = torch.tensor([0.125, 0.75, 0.125])
    smooth = (kernel[:, None] * kernel).expand(2, 1, 3, 3)
    assert_same(cells, F.conv2d(padded, smooth, groups=2))


def test_a_crop_of_the_frame_crops_the_warped_maps(float64):
    """The geometry of a crop leads to the same pixels of the views, at any size of these."""
    maps, geometry = torch.rand(3, 2, 10, 14), random_geometry(3).double()
    image_size, size = (12, 20), (5, 8)
    corners = torch.tensor([[0, 0], [7, 12], [3, 5]])
    whole = warp(maps, geometry, image_size)
    cropped = warp(maps, compose(geometry, window(corners, size, image_size)), size)
    expected = torch.stack([cut(whole[i], corners[i, None], size) for i in range(3)])
    assert_same(cropped, expected)
