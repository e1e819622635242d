"""Labels for the cells of a feature map."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE


@torch.no_grad()
def nearest_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize labels (B, H, W) in 0..255 to ``size`` = (h, w) by nearest pixels: (B, h, w) int64.

    Row i of the result is row floor(i H / h); for a whole factor, the upper left pixel of a cell.
    """
    return F.interpolate(labels.unsqueeze(1).byte(), size, mode='nearest').squeeze(1).long()


@torch.no_grad()
def reduce_labels(
    labels: Tensor, size: tuple[int, int], num_classes: int, min_ratio: float
) -> Tensor:
    """The label that dominates each cell of a feature map (DAFormer, Hoyer et al., CVPR 2022).

    A cell covers H / h x W / w pixels. Labels whose sides are not multiples of the map's are first
    resized, by nearest pixels, to the next multiples.

    Args:
        labels: (B, H, W) int64, below ``num_classes`` or 255.
        size: (h, w) of the feature map.
        min_ratio: share of a cell's pixels that the label must reach.

    Returns:
        (B, h, w) int64; 255 where no label reaches ``min_ratio`` or 255 itself dominates.

    >>> labels = torch.tensor([[[0, 0, 1, 2], [0, 0, 1, 1]]])
    >>> reduce_labels(labels, (1, 2), num_classes=3, min_ratio=0.75).tolist()
    [[[0, 1]]]
    """
    factors = [-(-side // cells) for side, cells in zip(labels.shape[1:], size, strict=True)]
    whole = [cells * factor for cells, factor in zip(size, factors, strict=True)]
    if whole != list(labels.shape[1:]):
        labels = nearest_labels(labels, whole)
    pixels = labels.masked_fill(labels == IGNORE, num_classes)  # counted as a class of its own
    cells = pixels.unflatten(2, (size[1], factors[1])).unflatten(1, (size[0], factors[0]))
    cells = cells.transpose(2, 3).flatten(3)  # (B, h, w, pixels of a cell)
    counts = torch.zeros(*cells.shape[:3], num_classes + 1, device=labels.device)
    counts.scatter_add_(3, cells, torch.ones_like(cells, dtype=counts.dtype))
    share, winner = (counts / (factors[0] * factors[1])).max(dim=3)
    return winner.masked_fill((winner == num_classes) | (share < min_ratio), IGNORE)
