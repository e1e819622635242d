import math

import torch

from mmseg_uda.datasets.batch import DomainBatch, Views
from mmseg_uda.uda.components.class_balanced_crop import (
    best_corners,
    crop_domain,
    crop_scores,
    cut,
)
from mmseg_uda.uda.components.warp import warp
from tests.precision import assert_same
from tests.uda.conftest import VIEWS


def test_scores_count_classes_and_pixels():
    labels = torch.zeros(1, 4, 8, dtype=torch.int64)
    labels[0, :2, :4] = 3
    labels[0, 0, 7] = 255
    corners = torch.tensor([[[0, 0], [0, 2], [0, 4]]])
    scores = crop_scores(labels, corners, (4, 4), 0.75)[0]
    assert torch.allclose(scores, torch.tensor([2 * math.log(8), 0.0, 0.0]))
    # two columns of class 3 in the second crop: 12 of 16 pixels are the other class
    assert crop_scores(labels, corners, (4, 4), 0.8)[0, 1] > 0


def test_of_equal_scores_the_first_wins():
    labels = torch.zeros(2, 4, 8, dtype=torch.int64)
    corners = torch.tensor([[[0, 2], [0, 4]], [[0, 1], [0, 0]]])
    assert best_corners(labels, corners, (4, 4), 0.75).tolist() == [[0, 2], [0, 1]]


def test_everything_of_an_image_is_cut_alike():
    images = torch.arange(2 * 3 * 6 * 9.0).view(2, 3, 6, 9)
    corners = torch.tensor([[1, 2], [0, 5]])
    domain = DomainBatch(images, images[:, 0].long(), images[:, 1], -images, paths=['a', 'b'])
    crops = crop_domain(domain, corners, (4, 3))
    for image, (y, x) in enumerate(corners.tolist()):
        window = images[image, :, y : y + 4, x : x + 3]
        assert torch.equal(crops.images[image], window) and torch.equal(crops.day[image], -window)
        assert torch.equal(crops.labels[image], window[0].long())
        assert torch.equal(crops.valid[image], window[1])
    assert crops.paths == ['a', 'b']


def test_crops_of_a_stack_are_cut_each_at_its_own_corner():
    labels = torch.arange(20).view(1, 1, 4, 5).expand(1, 2, 4, 5)
    boxes = cut(labels, torch.tensor([[[0, 0], [2, 3]]]), (2, 2))
    assert boxes[0, 0].tolist() == [[0, 1], [5, 6]] and boxes[0, 1].tolist() == [[13, 14], [18, 19]]


def test_maps_of_views_return_to_their_place_in_a_crop(float64):
    """What the views show is warped into the crop as into the image, and cut there."""
    corners, size = torch.tensor([[3, 5], [0, 11]]), (6, 10)
    images, maps = torch.rand(2, 3, 12, 24), torch.rand(2, len(VIEWS), 4, 12, 24)
    geometry = VIEWS.double().expand(2, -1, -1, -1)
    domain = DomainBatch(images, views=dict(clean=Views(torch.rand(2, 3, 3, 12, 24), geometry)))
    crop = crop_domain(domain, corners, size)
    assert crop.views['clean'].images is domain.views['clean'].images
    for i in range(2):
        inside = warp(maps[i], crop.views['clean'].geometry[i], size)
        assert_same(inside, cut(warp(maps[i], geometry[i]), corners[i], size))


def test_a_crop_keeps_the_type_of_the_geometry(float64):
    views = dict(clean=Views(torch.rand(1, 3, 3, 8, 8), VIEWS[None]))
    domain = DomainBatch(torch.rand(1, 3, 8, 8), views=views)
    crop = crop_domain(domain, torch.tensor([[1, 2]]), (4, 4))
    assert crop.views['clean'].geometry.dtype == torch.float32
