"""Rescaled images, the only augmentation of CaCo's queries."""

from collections.abc import Sequence

from mmseg.models.utils import resize
from torch import Tensor

CELL = 8  # pixels; sides of rescaled images are multiples of it


def rescaled_size(size: Sequence[int], percent: int) -> tuple[int, int]:
    """(height, width) of ``size`` (height, width) in pixels, rescaled to a multiple of 8 pixels.

    Halves are rounded to even numbers of cells.

    >>> rescaled_size((512, 1024), 83)
    (424, 848)
    """
    height, width = (round(side * (percent / 100) / CELL) * CELL for side in size)
    return height, width


def rescale(images: Tensor, percent: int) -> Tensor:
    """Images (B, 3, H, W), resized bilinearly to :func:`rescaled_size` with aligned corners."""
    size = rescaled_size(images.shape[2:], percent)
    return resize(images, size, None, 'bilinear', align_corners=True, warning=False)
