"""From pixel labels to the labels of a feature map's cells."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.errors import UserError

IGNORE = 255


@torch.no_grad()
def reduce_labels(labels: Tensor, factor: int, num_classes: int, min_ratio: float) -> Tensor:
    """The label that dominates each cell of ``factor`` x ``factor`` pixels.

    Args:
        labels: (B, H, W) int64; pixels beyond a whole number of cells are dropped.
        factor: side of a cell in pixels.
        num_classes: labels are below it, or 255.
        min_ratio: share of the cell that the label must reach.

    Returns:
        (B, H // factor, W // factor) int64, 255 where no label reaches it or 255 itself leads.
    """
    height, width = labels.shape[1] // factor, labels.shape[2] // factor
    pixels = labels[:, : height * factor, : width * factor]
    pixels = pixels.masked_fill(pixels == IGNORE, num_classes)  # counted as a class of its own
    cells = pixels.unflatten(2, (width, factor)).unflatten(1, (height, factor)).transpose(2, 3)
    cells = cells.flatten(3)  # (B, h, w, factor * factor)
    counts = torch.zeros(*cells.shape[:3], num_classes + 1, device=labels.device)
    counts.scatter_add_(3, cells, torch.ones_like(cells, dtype=counts.dtype))
    share, winner = (counts / factor**2).max(dim=3)
    return winner.masked_fill((winner == num_classes) | (share < min_ratio), IGNORE)


@torch.no_grad()
def nearest_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (B, H, W) in 0..255 of the pixels nearest to a grid: (B, h, w) for ``size`` = (h, w).

    Row i of the grid is row floor(i H / h), so at a whole factor the upper left pixel of a cell.
    """
    return F.interpolate(labels.unsqueeze(1).byte(), size, mode='nearest').squeeze(1).long()


def cell_labels(labels: Tensor, cells: Tensor, num_classes: int, min_ratio: float) -> Tensor:
    """Labels (B, H, W) for the cells of a feature map ``cells`` (B, A, h, w): (B, h, w).

    Raises:
        UserError: the image's sides are not the same whole multiple of the feature map's.
    """
    (height, width), size = labels.shape[1:], cells.shape[2:]
    factor = width // size[1]
    if (height, width) != (size[0] * factor, size[1] * factor):
        raise UserError(
            f'labels of {height} x {width} pixels do not divide into {size[0]} x {size[1]} square '
            'cells: choose a crop size that is a multiple of the stride of the features'
        )
    return reduce_labels(labels, factor, num_classes, min_ratio)
