"""Weights of classes in a loss or a decision."""

from collections.abc import Sequence

import torch
from torch import Tensor


def class_weights(spec: Sequence[float] | dict | None) -> Tensor | None:
    """What a config says about class weights as a tensor (C,).

    Args:
        spec: the weights, or ``dict(frequencies=..., sigma=...)`` for :func:`frequency_weights`,
            or None.
    """
    if spec is None:
        return None
    if isinstance(spec, dict):
        return frequency_weights(**spec)
    return torch.tensor(spec, dtype=torch.float32)


def frequency_weights(frequencies: Sequence[float], sigma: float) -> Tensor:
    """Larger weights for rarer classes: mean 1, standard deviation ``sigma`` (as in DANNet).

    Args:
        frequencies: share of each class's pixels, C numbers above 0.
    """
    rarity = -torch.tensor(frequencies, dtype=torch.float32).log()
    return (rarity - rarity.mean()) / rarity.std() * sigma + 1
