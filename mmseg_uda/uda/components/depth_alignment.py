"""What a similar source crop makes of pseudo-labels: class weights, soft labels by depth (CDDA)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_rank
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmseg_uda.uda.components.class_mix import LABEL_VALUES

KEEP, SET, TRUST = range(3)  # what happens to the weight of a class's pixels
ROWS = 128  # of pixels, for which the guidance loss holds probabilities of all classes at a time


class ClassWeights(NamedTuple):
    """What happens to the weights of each label value's pixels, (B, 256) each.

    ``action``: KEEP, SET to ``value``, or TRUST: 1 where confident, kept elsewhere.
    """

    action: Tensor
    value: Tensor


@torch.no_grad()
def class_weights(
    similarity: Tensor, chosen: Tensor, trust_above: float, drop_below: float
) -> ClassWeights:
    """Weights by class similarity: 1 above, 0 below, linear between.

    Args:
        similarity: (B, C).
        chosen: (B, C) bool, the classes to re-weight.
    """
    value = ((similarity - drop_below) / (trust_above - drop_below)).clamp(min=0)
    action = torch.where(similarity > trust_above, TRUST, SET).where(chosen, KEEP)
    room = (0, LABEL_VALUES - similarity.shape[1])
    return ClassWeights(F.pad(action, room, value=KEEP), F.pad(value, room))


@torch.no_grad()
def reweight(labels: Tensor, weight: Tensor, confident: Tensor, classes: ClassWeights) -> Tensor:
    """New weights of the pixels, each by its own label.

    Args:
        labels: (B, H, W) int64.
        weight: (B, H, W).
        confident: (B, H, W) bool.
    """
    action, value = (table.gather(1, labels.flatten(1)).view_as(labels) for table in classes)
    weight = torch.where(action == SET, value, weight)
    return torch.where((action == TRUST) & confident, 1.0, weight)


@torch.no_grad()
def reweight_by_first_row(
    labels: Tensor, weight: Tensor, confident: Tensor, classes: ClassWeights
) -> Tensor:
    """:func:`reweight` as the published code does it, from the labels of the first row of pixels.

    Confident pixels of column x weigh 1 if the label of pixel (0, x) is to be trusted; all pixels
    of *row* y get the value of the label of pixel (0, y) if that is to be set. The larger label
    wins. Images are square.
    """
    first = labels[:, 0]
    action, value = (table.gather(1, first) for table in classes)
    column, row = first.unsqueeze(1), first.unsqueeze(2)
    is_set = (action == SET).unsqueeze(2)
    trusted = (action == TRUST).unsqueeze(1) & confident & (~is_set | (column > row))
    return torch.where(trusted, 1.0, torch.where(is_set, value.unsqueeze(2), weight))


@torch.no_grad()
def missing_classes(rows: Tensor, tables: Tensor) -> Tensor:
    """Classes of the rows that the tables (B, C, D each) lack: (B, C) bool."""
    return (rows.sum(-1) > 0) & (tables.sum(-1) == 0)


@torch.no_grad()
def class_given_depth(rows: Tensor, largest: float) -> Tensor:
    """P(class | depth bin) of the tables ``rows`` (B, C, D); 0 in empty bins, 1 is ``largest``."""
    probability = rows / rows.sum(1, keepdim=True).clamp(min=1)
    return torch.where(probability < 1, probability, largest)


@torch.no_grad()
def any_pair(pairs: Tensor) -> Tensor:
    """1 if any of (B, C) bool is true on any rank, else 0: a 0-dimensional int64."""
    switch = pairs.any().long()
    all_reduce(switch, op='max')
    return switch


@torch.no_grad()
def last_pair(candidates: Tensor, pairs: Tensor) -> Tensor:
    """1 if ``pairs`` is true at the last true place of ``candidates``, both (B, C) bool, else 0.

    Places count over the ranks, images and classes; 0-dimensional int64.
    """
    number = candidates.numel()
    place = torch.arange(1, number + 1, device=pairs.device) + get_rank() * number
    last = torch.where(candidates, 2 * place.view_as(candidates) + pairs, 0).max()
    all_reduce(last, op='max')
    return last % 2


def guidance_loss(
    logits: Tensor, labels: Tensor, depth: Tensor, soft: Tensor, weight: Tensor
) -> Tensor:
    """Cross entropy with labels that leave room for missing classes, averaged over all pixels.

    A pixel's label is P(c | depth) for the missing classes c, and what remains of 1 for its
    pseudo-label; an ignored pixel (255) has only the former.

    Args:
        logits: (B, C, H, W).
        labels: (B, H, W) int64 pseudo-labels.
        depth: (B, H, W) in [0, 256).
        soft: (B, C, D), P(c | depth bin) of the missing classes, 0 for the others.
        weight: (B, H, W).
    """
    tables = soft.transpose(1, 2)
    pixels = (m.split(ROWS, dim=-2) for m in (logits, labels, depth.long(), weight))
    # A part's probabilities are made anew in its backward: otherwise several maps of all classes
    # and pixels would be kept.
    parts = [
        checkpoint(_guidance_sum, *part, tables, use_reentrant=False, preserve_rng_state=False)
        for part in zip(*pixels, strict=True)
    ]
    return torch.stack(parts).sum() / labels.numel()


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
