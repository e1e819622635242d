"""Colour jitter and Gaussian blur of batches on the device.

The arithmetic is that of kornia 0.5.8, with which the methods were tuned. It differs from that of
other libraries: brightness is added, contrast scales around black.
"""

from dataclasses import dataclass
from math import ceil, pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
MAX_BLUR_RADIUS = 8  # pixels; for sigma up to 1.15, weights further out are below 1e-10


@dataclass(frozen=True)
class Jitter:
    """Factors of one colour jitter call: a number, or one number per image of the batch.

    Attributes:
        brightness: ``brightness`` - 1 is added to RGB in [0, 1].
        contrast, saturation: factors.
        hue: shift as a share of the colour circle.
        order: of the operations, by their numbers in the order above (0..3).
    """

    brightness: float | list[float]
    contrast: float | list[float]
    saturation: float | list[float]
    hue: float | list[float]
    order: list[int]


def draw_jitter(rng: np.random.Generator, strength: float) -> Jitter:
    """Random factors U(1 - strength, 1 + strength), hue U(-strength, strength), random order."""
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
    """Jitter RGB images (B, 3, H, W) in [0, 1].

    >>> brighter = Jitter(brightness=1.25, contrast=1, saturation=1, hue=0, order=[0])
    >>> color_jitter(torch.full((1, 3, 1, 1), 0.5), brighter).flatten().tolist()
    [0.75, 0.75, 0.75]
    """

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
    value = rgb.amax(dim=1)
    spread = value - rgb.amin(dim=1)
    saturation = spread / (value + 1e-6)
    spread = torch.where(spread == 0, torch.ones_like(spread), spread)
    r, g, b = (value.unsqueeze(1) - rgb).unbind(1)
    # The largest channel, the first of equal ones, gives the sector of the circle.
    sector = torch.where(g == 0, 2 * spread + r - b, 4 * spread + g - r)
    sector = torch.where(r == 0, b - g, sector)
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
    """Kernel size of the published blur for an image side in pixels: odd, about 10 % of it.

    >>> blur_kernel_size(512), blur_kernel_size(640)
    (51, 63)
    """
    size = ceil(0.1 * side)
    return size if size % 2 else size - 1


@torch.no_grad()
def gaussian_blur(images: Tensor, sigma: list[float]) -> Tensor:
    """Blur images (B, 3, H, W), with reflect padding.

    The kernel is separable and has at most 8 taps to each side; the published dense kernel is
    larger, but its outer weights are below 1e-10.

    Args:
        sigma: standard deviation of each image's blur in pixels.
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
