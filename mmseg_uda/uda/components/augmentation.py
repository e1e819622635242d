"""Strong colour augmentation of images that are already on the device.

The arithmetic is that of kornia 0.5.8, with which the methods were tuned; what later libraries call
brightness, contrast and hue differs (brightness is added here, contrast scales around black).
Both operations work on normalised images and are the same on every device.
"""

from dataclasses import dataclass
from math import ceil, pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
MAX_BLUR_RADIUS = 8  # sigma stays below 1.15: taps further out weigh less than 1e-10


@dataclass(frozen=True)
class Jitter:
    """Factors of one colour jitter call: a number, or one per image of the batch.

    ``brightness`` - 1 is added, ``contrast`` and ``saturation`` multiply, ``hue`` is a share of the
    colour circle; ``order`` lists the operations (0..3 in that naming order) as they are applied.
    """

    brightness: float | list[float]
    contrast: float | list[float]
    saturation: float | list[float]
    hue: float | list[float]
    order: list[int]


def draw_jitter(rng: np.random.Generator, strength: float) -> Jitter:
    """Factors U(1 - strength, 1 + strength), hue U(-strength, strength), in random order."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).tolist()
    hue = float(rng.uniform(-strength, strength))
    return Jitter(brightness, contrast, saturation, hue, rng.permutation(4).tolist())


def denormalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalised images (B, 3, H, W) as RGB in [0, 1]; ``mean``, ``std`` (3, 1, 1) in 0..255."""
    return (images * std + mean) / 255


def normalise(rgb: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """RGB in [0, 1] (B, 3, H, W) as normalised images: undoes :func:`denormalise`."""
    return (rgb * 255 - mean) / std


@torch.no_grad()
def color_jitter(rgb: Tensor, jitter: Jitter) -> Tensor:
    """Jitter RGB images (B, 3, H, W) in [0, 1], all in the order of one call."""

    def factor(value: float | list[float]) -> Tensor:
        return torch.as_tensor(value, dtype=rgb.dtype).to(rgb.device).view(-1, 1, 1)

    for operation in jitter.order:
        if operation == BRIGHTNESS:
            rgb = (rgb + (factor(jitter.brightness) - 1).unsqueeze(1)).clamp(0, 1)
        elif operation == CONTRAST:
            rgb = (rgb * factor(jitter.contrast).unsqueeze(1)).clamp(0, 1)
        elif operation == SATURATION:
            hue, saturation, value = rgb_to_hsv(rgb)
            rgb = hsv_to_rgb(hue, (saturation * factor(jitter.saturation)).clamp(0, 1), value)
        else:
            hue, saturation, value = rgb_to_hsv(rgb)
            hue = torch.fmod(hue + 2 * pi * factor(jitter.hue), 2 * pi)
            rgb = hsv_to_rgb(hue, saturation, value)
    return rgb


def jitter_normalised(images: Tensor, jitter: Jitter, mean: Tensor, std: Tensor) -> Tensor:
    """:func:`color_jitter` of normalised images (B, 3, H, W); ``mean``, ``std`` in 0..255."""
    return normalise(color_jitter(denormalise(images, mean, std), jitter), mean, std)


def rgb_to_hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """RGB (B, 3, H, W) in [0, 1] to hue in [0, 2 pi), saturation, value: (B, H, W) each."""
    value, largest = rgb.max(dim=1)
    spread = value - rgb.amin(dim=1)
    saturation = spread / (value + 1e-6)
    spread = torch.where(spread == 0, torch.ones_like(spread), spread)
    r, g, b = (value.unsqueeze(1) - rgb).unbind(1)
    # max() may return any of several equal channels; the hue belongs to the first of them.
    largest = torch.where(b == 0, 2, largest)
    largest = torch.where(g == 0, 1, largest)
    largest = torch.where(r == 0, 0, largest)
    sector = torch.where(
        largest == 0, b - g, torch.where(largest == 1, 2 * spread + r - b, 4 * spread + g - r)
    )
    return 2 * pi * torch.remainder(sector / spread / 6, 1), saturation, value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Hue in radians, saturation, value (B, H, W) to RGB (B, 3, H, W)."""
    sixth = 6 * hue / (2 * pi)
    sector = torch.remainder(torch.floor(sixth), 6)
    fraction = torch.remainder(sixth, 6) - sector
    low = value * (1 - saturation)
    falling = value * (1 - fraction * saturation)
    rising = value * (1 - (1 - fraction) * saturation)
    table = torch.stack((value, falling, low, rising), dim=1)  # rows 0 v, 1 q, 2 p, 3 t
    rows = torch.tensor(
        [[0, 3, 2], [1, 0, 2], [2, 0, 3], [2, 1, 0], [3, 2, 0], [0, 2, 1]], device=hue.device
    )
    return table.gather(1, rows[sector.long()].permute(0, 3, 1, 2))


def blur_kernel_size(side: int) -> int:
    """Odd kernel size of the reference's Gaussian blur for an image side in pixels (about 10 %)."""
    size = ceil(0.1 * side)
    return size if size % 2 else size - 1


@torch.no_grad()
def gaussian_blur(images: Tensor, sigma: list[float]) -> Tensor:
    """Blur each image (B, 3, H, W) with its own standard deviation in pixels, reflect padding.

    Separable, and cut at 8 taps to each side: the reference's dense kernel is ten times larger but
    holds only zeros there.
    """
    batch, channels, height, width = images.shape
    flat = images.reshape(1, batch * channels, height, width)
    with torch.autocast(images.device.type, enabled=False):  # images keep their precision
        for side, axis in ((height, 2), (width, 3)):
            radius = min(blur_kernel_size(side) // 2, MAX_BLUR_RADIUS)
            taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / np.array(sigma)[:, None]) ** 2)
            taps /= taps.sum(axis=1, keepdims=True)
            kernel = torch.as_tensor(taps, dtype=flat.dtype).to(flat.device)
            kernel = kernel.repeat_interleave(channels, 0).unsqueeze(1).unsqueeze(5 - axis)
            padding = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
            flat = F.conv2d(F.pad(flat, padding, 'reflect'), kernel, groups=batch * channels)
    return flat.view(batch, channels, height, width)
