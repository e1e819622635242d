"""Sums of feature vectors by class: the primitive of all statistics and memories of classes."""

import torch
from mmengine.dist import all_gather
from torch import Tensor


@torch.no_grad()
def class_members(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """One-hot labels: (B, h, w) int64 -> (B, C, h * w) of ``dtype``; 255 is in no class."""
    classes = torch.arange(num_classes, device=labels.device).view(-1, 1)
    return (labels.flatten(1).unsqueeze(1) == classes).to(dtype)


@torch.no_grad()
def class_sums(maps: Tensor, members: Tensor) -> Tensor:
    """Sum each image's vectors by class.

    A product with the one-hot labels: there is no device-to-host synchronisation, and no tensor is
    larger than the maps.

    Args:
        maps: (B, A, N).
        members: (B, C, N), see :func:`class_members`.

    Returns:
        (B, C, A).

    >>> members = class_members(torch.tensor([[[0, 1, 1, 255]]]), 2, torch.float32)
    >>> class_sums(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), members).tolist()
    [[[1.0], [5.0]]]
    """
    return members @ maps.transpose(1, 2)


def all_images(values: Tensor) -> Tensor:
    """Gather per-image values (B, ...) of all ranks, in image order: (ranks * B, ...).

    A sum over them is the same number for any distribution of the images over the ranks.
    """
    return torch.cat(all_gather(values.contiguous()))
