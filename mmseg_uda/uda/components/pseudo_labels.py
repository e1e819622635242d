"""Pseudo-labels and how much they count."""

from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.models.precision import at_least_float32


@dataclass
class PseudoLabels:
    """What the teacher thinks of target images.

    Attributes:
        labels: (B, H, W) int64, the most probable class.
        weight: (B, H, W) float, how much each pixel counts in a loss.
        confidence: (B, H, W) float, the probability of that class.
    """

    labels: Tensor
    weight: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_labels(probabilities: Tensor, threshold: float | None) -> PseudoLabels:
    """Most probable classes, all weighted by the share of confident pixels.

    The weight is one number for the whole batch, over all ranks: the share of pixels whose largest
    probability is at least ``threshold`` (DACS, as coded in DAFormer: per batch, not per
    image). It stays on the device.

    Args:
        probabilities: (B, C, H, W) at image size.
        threshold: probability from which a pixel counts as confident; ``None``: all pixels do.
    """
    confidence, labels = probabilities.max(dim=1)
    if threshold is None:
        return PseudoLabels(labels, torch.ones_like(confidence), confidence)
    share = (confidence >= threshold).to(confidence).mean()
    all_reduce(share, op='mean')
    return PseudoLabels(labels, share.expand_as(confidence).clone(), confidence)


@torch.no_grad()
def confident_labels(logits: Tensor, threshold: float) -> Tensor:
    """The most probable class where its probability is at least ``threshold``, else 255.

    Args:
        logits: (B, C, h, w).

    Returns:
        (B, h, w) int64.
    """
    confidence, labels = at_least_float32(logits).softmax(dim=1).max(dim=1)
    return labels.masked_fill(confidence < threshold, IGNORE)


def ignore_margins(weight: Tensor, top: int, bottom: int) -> Tensor:
    """``weight`` (B, H, W) with its first ``top`` and last ``bottom`` rows set to 0.

    There the target camera sees its own car and the teacher guesses (DAFormer).
    """
    weight = weight.clone()
    weight[:, :top] = 0
    weight[:, weight.shape[1] - bottom :] = 0
    return weight
