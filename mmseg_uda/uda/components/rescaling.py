"""Rescaled images, the only augmentation of CaCo's queries."""

from collections.abc import Sequence

from mmseg.models.utils import resize
from torch import Tensor

CELL = 8  # pixels


def rescaled_size(size: Sequence[int], percent: int, cell: int = CELL) -> tuple[int, int]:
    """(height, width) of ``size`` (height, width) in pixels, rescaled to multiples of ``cell``.

    Halves are rounded to even numbers of cells.

    >>> rescaled_size((512, 1024), 83)
    (424, 848)
    """
    height, width = (round(side * (percent / 100) / cell) * cell for side in size)
    return height, width


def rescale(images: Tensor, percent: int, cell: int = CELL) -> Tensor:
    """Images (B, 3, H, W), resized bilinearly to :func:`rescaled_size` with aligned corners."""
    size = rescaled_size(images.shape[2:], percent, cell)
    return resize(images, size, None, 'bilinear', align_corners=True, warning=False)
