import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_uda.uda.components.augmentation import (
    Jitter,
    blur_kernel_size,
    color_jitter,
    denormalise,
    draw_jitter,
    gaussian_blur,
    hsv_to_rgb,
    normalise,
    rgb_to_hsv,
)
from tests.precision import assert_same

MEAN = torch.tensor([123.675, 116.28, 103.53], dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375], dtype=torch.float64).view(3, 1, 1)
HSV_TOLERANCE = 1e-5  # the saturation is divided by the value + 1e-6, as published


def test_normalise_undoes_denormalise(float64):
    images = torch.randn(2, 3, 4, 5)
    assert_same(normalise(denormalise(images, MEAN, STD), MEAN, STD), images)


def test_hsv_and_back():
    rgb = torch.rand(2, 3, 32, 32)
    assert torch.allclose(hsv_to_rgb(*rgb_to_hsv(rgb)), rgb, atol=HSV_TOLERANCE)


@pytest.mark.parametrize(
    ('rgb', 'degrees'), [((1, 0, 0), 0), ((1, 1, 0), 60), ((0, 1, 0), 120), ((0, 0, 1), 240)]
)
def test_hue_of_pure_colours(rgb, degrees):
    hue, saturation, value = rgb_to_hsv(torch.tensor(rgb).float().view(1, 3, 1, 1))
    assert hue.item() == pytest.approx(np.deg2rad(degrees), abs=HSV_TOLERANCE)
    assert (saturation.item(), value.item()) == (pytest.approx(1, abs=HSV_TOLERANCE), 1)


def test_neutral_factors_change_nothing():
    rgb = torch.rand(2, 3, 8, 8)
    same = color_jitter(rgb, Jitter(1, 1, 1, 0, [2, 0, 3, 1]))
    assert torch.allclose(same, rgb, atol=HSV_TOLERANCE)


def test_factors_of_a_batch_are_those_of_its_images(float64):
    rgb = torch.rand(2, 3, 8, 8)
    both = color_jitter(rgb, Jitter([1.1, 0.9], [0.95, 1.2], [1.1, 0.8], [0.1, -0.2], [3, 0, 2, 1]))
    first = color_jitter(rgb[:1], Jitter(1.1, 0.95, 1.1, 0.1, [3, 0, 2, 1]))
    second = color_jitter(rgb[1:], Jitter(0.9, 1.2, 0.8, -0.2, [3, 0, 2, 1]))
    assert_same(both, torch.cat([first, second]))


def test_brightness_adds_and_contrast_scales_around_black():
    grey = torch.full((1, 3, 1, 1), 0.5)
    assert color_jitter(grey, Jitter(1.2, 1, 1, 0, [0])).unique().item() == pytest.approx(0.7)
    assert color_jitter(grey, Jitter(1, 1.2, 1, 0, [1])).unique().item() == pytest.approx(0.6)


def test_drawn_factors_stay_in_their_ranges():
    rng = np.random.default_rng(0)
    jitters = [draw_jitter(rng, 0.2) for _ in range(200)]
    for jitter in jitters:
        assert all(0.8 <= f <= 1.2 for f in (jitter.brightness, jitter.contrast, jitter.saturation))
        assert -0.2 <= jitter.hue <= 0.2
        assert sorted(jitter.order) == [0, 1, 2, 3]
    assert len({tuple(jitter.order) for jitter in jitters}) == 24


@pytest.mark.parametrize(('side', 'size'), [(32, 3), (64, 7), (71, 7), (512, 51), (1024, 103)])
def test_blur_kernel_size(side, size):
    assert blur_kernel_size(side) == size


def test_blur_equals_the_dense_kernel_of_full_size(float64):
    images, sigma = torch.randn(2, 3, 220, 200), [0.4, 1.15]
    blurred = gaussian_blur(images, sigma)
    for image, s, result in zip(images, sigma, blurred, strict=True):
        radius = [blur_kernel_size(side) // 2 for side in image.shape[1:]]
        y, x = (torch.arange(-r, r + 1.0) for r in radius)
        kernel = torch.exp(-0.5 * (y[:, None] ** 2 + x**2) / s**2)
        padded = F.pad(image[:, None], (radius[1],) * 2 + (radius[0],) * 2, 'reflect')
        dense = F.conv2d(padded, (kernel / kernel.sum())[None, None])[:, 0]
        assert_same(result, dense)


def test_blur_keeps_constant_images(float64):
    images = torch.full((1, 3, 64, 48), 0.3)
    assert_same(gaussian_blur(images, [0.9]), images)


def test_blur_keeps_float32_under_autocast():
    images = torch.randn(1, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        blurred = gaussian_blur(images, [0.9])
    assert torch.equal(blurred, gaussian_blur(images, [0.9]))
