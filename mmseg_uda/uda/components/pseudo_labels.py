"""Pseudo-labels and their weights."""

from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.models.precision import at_least_float32


@dataclass
class PseudoLabels:
    """Pseudo-labels of target images.

    Attributes:
        labels: (B, H, W) int64, the most probable class.
        weight: (B, H, W) float in [0, 1], factor of each pixel's loss.
        confidence: (B, H, W) float, the probability of that class.
    """

    labels: Tensor
    weight: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_labels(probabilities: Tensor, threshold: float | None) -> PseudoLabels:
    """The most probable classes, weighted by the share of confident pixels.

    The weight is one number for the batches of all ranks: the share of pixels whose largest
    probability is at least ``threshold`` (DACS, as coded in DAFormer: per batch, not per image).

    Args:
        probabilities: (B, C, H, W) at image size.
        threshold: probability from which a pixel counts as confident; ``None``: all do.

    >>> pseudo = pseudo_labels(torch.tensor([[[[0.9, 0.4]], [[0.1, 0.6]]]]), threshold=0.8)
    >>> pseudo.labels.tolist(), pseudo.weight.tolist()
    ([[[0, 1]]], [[[0.5, 0.5]]])
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
    """``weight`` (B, H, W) with the first ``top`` and last ``bottom`` rows set to 0.

    These rows show the ego vehicle or artefacts of the camera (DAFormer).
    """
    weight = weight.clone()
    weight[:, :top] = 0
    weight[:, weight.shape[1] - bottom :] = 0
    return weight
