"""Fusion of class probabilities that a network predicts on several views of an image.

DA-SAC (Araslanov and Roth, CVPR 2021).
"""

import torch
from torch import Tensor

from mmseg_uda.uda.components.warp import inverse, warp

LEAST_SUM = 1e-3  # divisor of positions that hardly any view covers
COVERED = 0.1  # sum of probabilities over the classes and views above which a position is covered


@torch.no_grad()
def align_views(probabilities: Tensor, geometry: Tensor, back: Tensor) -> Tensor:
    """Warp the probabilities of T views of an image into its frame.

    As published, each is multiplied by a factor that is 1 except in one row or column of pixels:
    where the zoom window of a view touches the border of the image.

    Args:
        probabilities: (T, C, H, W), predicted on the views.
        geometry: (T, 2, 3), from the image to each view.
        back: (T, 2, 3), its inverse.

    Returns:
        (T, C, H, W), 0 where a view does not cover the image.
    """
    return warp(probabilities, geometry) * border_factor(probabilities, back)


def border_factor(maps: Tensor, back: Tensor) -> Tensor:
    """The factor (T, 1, H, W) of maps (T, C, H, W) of views, see :func:`align_views`."""
    return warp(torch.ones_like(maps[:, :1]), back)


def normalise(total: Tensor) -> Tensor:
    """Divide sums of probabilities (..., C, H, W) by their sum over the classes.

    >>> normalise(torch.tensor([[[3.0]], [[1.0]]])).flatten().tolist()
    [0.75, 0.25]
    """
    return total / total.sum(dim=-3, keepdim=True).clamp(min=LEAST_SUM)


@torch.no_grad()
def fuse_views(probabilities: Tensor, geometry: Tensor) -> Tensor:
    """Average the probabilities of T views of an image, and return the mean in each view's frame.

    Args:
        probabilities: (T, C, H, W), predicted on the views.
        geometry: (T, 2, 3), from the image to each view.

    Returns:
        (T, C, H, W): each view's crop of the same fused map; 0 where no view covers the image.
    """
    back = inverse(geometry)
    total = align_views(probabilities, geometry, back).sum(dim=0)
    return spread(normalise(total), total.sum(dim=0, keepdim=True) > COVERED, back)


def spread(fused: Tensor, valid: Tensor, back: Tensor) -> Tensor:
    """Warp the fused map (C, H, W) of an image into the frames of its T views: (T, C, H, W).

    Args:
        valid: (1, H, W) bool, positions that a view covers.
        back: (T, 2, 3), from each view to the image.
    """
    maps = torch.cat((fused, valid.to(fused))).expand(len(back), -1, -1, -1)
    warped = warp(maps, back)
    return warped[:, :-1] * warped[:, -1:]
