"""Guidance of CDDA: soft labels, by depth, for classes that the pseudo-labels lack."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_rank
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg_uda.uda.components.depth_similarity import depth_histograms

LARGEST = 0.99999  # soft label
ROWS = 128  # rows of pixels for which the loss holds the probabilities of all classes at a time


@dataclass
class Guidance:
    """Soft labels of a batch and whether they are used.

    Attributes:
        due: 0-dimensional int64, 1 or 0, the same on all ranks.
        soft: (B, C, 256), P(class | depth bin) of the classes that the pseudo-labels lack.
        weight: (B, H, W).
    """

    due: Tensor
    soft: Tensor
    weight: Tensor


@torch.no_grad()
def make_guidance(
    rows: Tensor,
    tables: Tensor,
    depth: Tensor,
    similar: Tensor,
    weight: Tensor,
    switch: Callable[[Tensor, Tensor], Tensor],
) -> Guidance:
    """Soft labels for the classes that similar crops have and target images lack.

    Args:
        rows, tables: (B, C, 256), depth distributions of the crops and of the target images.
        depth: (B, H, W) in [0, 256), of the target images.
        similar: (B,) bool, images whose crop is similar enough.
        weight: (B, H, W) of the loss.
        switch: :func:`any_pair`, or :func:`last_pair` as published; decides whether to train.
    """
    missing = missing_classes(rows, tables) & similar.unsqueeze(1)
    soft = class_given_depth(rows) * missing.unsqueeze(2)
    depths = depth_histograms(depth, whole_only=switch is last_pair) > 0
    overlap = ((soft > 0) & depths.unsqueeze(1)).any(dim=2)
    return Guidance(switch(missing, overlap), soft * overlap.unsqueeze(2), weight)


@torch.no_grad()
def missing_classes(rows: Tensor, tables: Tensor) -> Tensor:
    """Classes of ``rows`` that ``tables`` lack, both (B, C, D): (B, C) bool."""
    return (rows.sum(-1) > 0) & (tables.sum(-1) == 0)


@torch.no_grad()
def class_given_depth(rows: Tensor) -> Tensor:
    """P(class | depth bin) of tables ``rows`` (B, C, D), 0 in empty bins: (B, C, D).

    A probability of 1 becomes :data:`LARGEST`, as published.

    >>> class_given_depth(torch.tensor([[[3.0, 0.0], [1.0, 0.0]]])).tolist()
    [[[0.75, 0.0], [0.25, 0.0]]]
    """
    probability = rows / rows.sum(1, keepdim=True).clamp(min=1)
    return torch.where(probability < 1, probability, LARGEST)


@torch.no_grad()
def any_pair(missing: Tensor, pairs: Tensor) -> Tensor:
    """1 if any of ``pairs`` is true on any rank, else 0: a 0-dimensional int64.

    Args:
        missing, pairs: see :func:`last_pair`.
    """
    switch = pairs.any().long()
    all_reduce(switch, op='max')
    return switch


@torch.no_grad()
def last_pair(missing: Tensor, pairs: Tensor) -> Tensor:
    """1 if the last missing class of the last image has a soft label, else 0: 0-dimensional int64.

    As in the published code. Places are counted over ranks, images and classes.

    Args:
        missing: (B, C) bool, classes of similar crops that the pseudo-labels lack.
        pairs: (B, C) bool, those with a soft label at some pixel of the image.
    """
    number = missing.numel()
    place = torch.arange(1, number + 1, device=pairs.device) + get_rank() * number
    last = torch.where(missing, 2 * place.view_as(missing) + pairs, 0).max()
    all_reduce(last, op='max')
    return last % 2


def guidance_loss(
    logits: Tensor, labels: Tensor, depth: Tensor, soft: Tensor, weight: Tensor
) -> Tensor:
    """Cross entropy with pseudo-labels that are softened by missing classes, mean over all pixels.

    The soft label of a pixel is P(c | depth) for each missing class c and the remainder to 1 for
    its pseudo-label; an ignored pixel (255) has no remainder. 0-dimensional.

    Args:
        logits: (B, C, H, W).
        labels: (B, H, W) int64 pseudo-labels.
        depth: (B, H, W) in [0, 256).
        soft: (B, C, D), P(c | depth bin) of the missing classes, 0 for the others.
        weight: (B, H, W).
    """
    tables = soft.transpose(1, 2)
    pixels = (m.split(ROWS, dim=-2) for m in (logits, labels, depth.long(), weight))
    # Probabilities are recomputed in the backward pass; several (B, C, H, W) maps need no memory.
    sums = [
        checkpoint(_guidance_sum, *block, tables, use_reentrant=False, preserve_rng_state=False)
        for block in zip(*pixels, strict=True)
    ]
    return torch.stack(sums).sum() / labels.numel()


def _guidance_sum(
    logits: Tensor, labels: Tensor, bins: Tensor, weight: Tensor, tables: Tensor
) -> Tensor:
    log_probability = logits.log_softmax(dim=1)
    image = torch.arange(len(bins), device=bins.device).view(-1, 1, 1)
    soft = tables[image, bins].movedim(-1, 1)
    valid = labels < logits.shape[1]
    own = log_probability.gather(1, labels.where(valid, 0).unsqueeze(1)).squeeze(1)
    loss = (soft * log_probability).sum(dim=1) + (1 - soft.sum(dim=1)) * valid * own
    return -(weight * loss).sum()
