"""Class-balanced cropping (CBC): the crop of a target image with the most balanced pseudo-labels.

SePiCo (Xie et al., TPAMI 2023). Runs on the device, for the whole batch at once.
"""

from dataclasses import replace

import torch
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
from mmseg_uda.uda.components.warp import compose, window


@torch.no_grad()
def crop_scores(labels: Tensor, corners: Tensor, size: tuple[int, int], max_ratio: float) -> Tensor:
    """Score how balanced the classes are in each of several crops of each image.

    Args:
        labels: (B, H, W) int64, 255 = ignore.
        corners: (B, K, 2) int64, upper left corners (y, x).
        size: (height, width) of the crops.
        max_ratio: a crop in which one class reaches this share of the labelled pixels scores 0.

    Returns:
        (B, K) float32: the sum of ln(pixels) over the classes with more than one pixel; 0 for a
        crop with fewer than two classes, or with a class that reaches ``max_ratio``.

    >>> labels = torch.tensor([[[0, 0, 0, 1], [0, 0, 1, 1]]])
    >>> corners = torch.tensor([[[0, 0], [0, 2]]])
    >>> crop_scores(labels, corners, (2, 2), max_ratio=0.9)[0, 0].item()  # one class
    0.0
    """
    pixels = cut(labels.unsqueeze(1).expand(-1, corners.shape[1], -1, -1), corners, size)
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
    """The corner (B, 2) of each image's best-scoring crop, the first one of equals.

    Args:
        labels, corners, size, max_ratio: see :func:`crop_scores`.
    """
    best = crop_scores(labels, corners, size, max_ratio).argmax(dim=1)
    return corners[torch.arange(len(corners), device=corners.device), best]


def cut(maps: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a box of ``size`` out of every map, each at its own corner.

    Args:
        maps: (..., H, W).
        corners: (..., 2) int64 (y, x) on the same device; leading axes broadcast.

    Returns:
        (..., *size).
    """
    height, width = maps.shape[-2:]
    rows = corners[..., 0, None] + torch.arange(size[0], device=corners.device)
    columns = corners[..., 1, None] + torch.arange(size[1], device=corners.device)
    cells = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).flatten(-2)
    cells = cells.expand(*maps.shape[:-2], -1)
    return maps.flatten(-2).gather(-1, cells).unflatten(-1, size)


def crop_domain(domain: DomainBatch, corners: Tensor, size: tuple[int, int]) -> DomainBatch:
    """Cut the same box, at corner (B, 2), out of every map of an image.

    Views are not cut: their geometry becomes that from the crop to the view.
    """
    cropped = domain.map(
        lambda maps: cut(maps, corners.view(len(corners), *[1] * (maps.ndim - 3), 2), size)
    )
    from_crop = window(corners, size, domain.images.shape[-2:]).unsqueeze(1)
    views = {
        name: replace(views, geometry=compose(views.geometry, from_crop.to(views.geometry)))
        for name, views in domain.views.items()
    }
    return replace(cropped, views=views)
