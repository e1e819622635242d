import torch

from mmseg_uda.uda.components.view_fusion import align_views, fuse_views, normalise
from mmseg_uda.uda.components.warp import inverse, warp
from tests.precision import assert_same
from tests.uda.conftest import VIEWS

IDENTITY = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def flipped(map_: torch.Tensor) -> torch.Tensor:
    return map_.flip(-1)


def test_views_that_agree_keep_their_probabilities(float64):
    probabilities = torch.randn(5, 8, 16).softmax(0)
    views = torch.stack((probabilities, flipped(probabilities)))
    geometry = torch.stack((IDENTITY, VIEWS[0])).double()
    assert_same(fuse_views(views, geometry), views)


def test_views_are_averaged_in_the_frame_of_the_image(float64):
    first, second = torch.randn(2, 5, 8, 16).softmax(1)
    fused = fuse_views(torch.stack((first, second)), torch.stack((IDENTITY, VIEWS[0])).double())
    mean = (first + flipped(second)) / 2
    assert_same(fused, torch.stack((mean, flipped(mean))))


def test_a_position_that_no_view_covers_has_no_probability(float64):
    window = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]])  # at the left border
    geometry = torch.stack((window, IDENTITY)).double()
    probabilities = torch.randn(2, 5, 8, 16).softmax(1)
    probabilities[1] = 0  # padding
    in_image = fuse_views(probabilities, geometry)[1].sum(0)
    assert (in_image[:, 9:] == 0).all() and (in_image[0] == 0).all()
    assert_same(in_image[3:5, 1:7], torch.ones(2, 6))


def test_the_border_of_a_zoom_at_the_border_counts_less(float64):
    """As published: by (1 + s) / 2 for the scale s, in the row of pixels at the border."""
    zoom = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.6, 0.6]]])  # of the upper 5/8 of the image
    ones = torch.ones(1, 1, 8, 16)
    factor = align_views(ones, zoom.double(), inverse(zoom.double())) / warp(
        ones, zoom.double()
    ).clamp(min=1e-9)
    assert_same(factor[0, 0, 0], torch.full((16,), (1 + 5 / 8) / 2))
    assert_same(factor[0, 0, 1:4], torch.ones(3, 16))


def test_sums_near_zero_are_not_divided_by_themselves(float64):
    total = torch.tensor([3e-4, 1e-4]).view(2, 1, 1)
    assert_same(normalise(total).flatten(), torch.tensor([0.3, 0.1]))
