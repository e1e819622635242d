"""Class-balanced cropping (CBC): the crop of a target image whose pseudo-labels are most varied.

SePiCo (Xie et al., TPAMI 2023). All on the device, for the whole batch at once.
"""

from dataclasses import replace

import torch
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch

IGNORE = 255
LABEL_VALUES = 256


@torch.no_grad()
def crop_scores(labels: Tensor, corners: Tensor, size: tuple[int, int], max_ratio: float) -> Tensor:
    """How balanced the classes are in each of several crops of each image.

    Args:
        labels: (B, H, W) int64, 255 = ignore.
        corners: (B, K, 2) int64, upper left corners (y, x).
        size: (height, width) of the crops.
        max_ratio: a class with at least this share of the labelled pixels is too much.

    Returns:
        (B, K) float32: the sum of ln(pixels) over the classes with more than one pixel; 0 for a
        crop of fewer than two classes, or with one that is too much.
    """
    pixels = crop(labels.unsqueeze(1).expand(-1, corners.shape[1], -1, -1), corners, size)
    pixels = pixels.flatten(2)
    counts = torch.zeros(*corners.shape[:2], LABEL_VALUES, device=labels.device)
    counts.scatter_add_(2, pixels, torch.ones((), device=labels.device).expand_as(pixels))
    counts = counts[..., :IGNORE]
    varied = (counts > 0).sum(dim=2) > 1
    balanced = counts.amax(dim=2) < max_ratio * counts.sum(dim=2)
    return counts.clamp(min=1).log().sum(dim=2) * (varied & balanced)


@torch.no_grad()
def best_corners(
    labels: Tensor, corners: Tensor, size: tuple[int, int], max_ratio: float
) -> Tensor:
    """The corner (B, 2) of each image's crop with the highest score, of equal ones the first."""
    best = crop_scores(labels, corners, size, max_ratio).argmax(dim=1)
    return corners[torch.arange(len(corners), device=corners.device), best]


def crop(images: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a box of ``size`` out of every image, each at its own corner.

    Args:
        images: (..., H, W).
        corners: (..., 2) int64 (y, x) on the same device, with leading axes that broadcast.

    Returns:
        (..., *size).
    """
    height, width = images.shape[-2:]
    rows = corners[..., 0, None] + torch.arange(size[0], device=corners.device)
    columns = corners[..., 1, None] + torch.arange(size[1], device=corners.device)
    cells = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).flatten(-2)
    cells = cells.expand(*images.shape[:-2], -1)
    return images.flatten(-2).gather(-1, cells).unflatten(-1, size)


def crop_domain(domain: DomainBatch, corners: Tensor, size: tuple[int, int]) -> DomainBatch:
    """Cut the same box (corner (B, 2)) out of everything that belongs to an image."""

    def cut(maps: Tensor | None) -> Tensor | None:
        if maps is None:
            return None
        return crop(maps, corners.unsqueeze(1) if maps.ndim == 4 else corners, size)

    return replace(
        domain,
        images=cut(domain.images),
        labels=cut(domain.labels),
        valid=cut(domain.valid),
        day=cut(domain.day),
        depth=cut(domain.depth),
    )
