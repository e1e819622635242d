"""Class weights for losses and predictions."""

from collections.abc import Sequence

import torch
from torch import Tensor


def class_weights(spec: Sequence[float] | dict | None) -> Tensor | None:
    """Convert class weights of a config into a float32 tensor (C,).

    Args:
        spec: the C weights, ``dict(frequencies=..., sigma=...)`` for :func:`frequency_weights`, or
            ``None`` for no weights.
    """
    if spec is None:
        return None
    if isinstance(spec, dict):
        return frequency_weights(**spec)
    return torch.tensor(spec, dtype=torch.float32)


def frequency_weights(frequencies: Sequence[float], sigma: float) -> Tensor:
    """Compute class weights (C,) that are larger for rarer classes (Wu et al., DANNet, CVPR 2021).

    The negative logarithm of the frequencies, standardised to mean 1 and standard deviation
    ``sigma``.

    Args:
        frequencies: share of each class among all pixels, C numbers above 0.
        sigma: standard deviation of the weights.

    Example:
        >>> weights = frequency_weights([0.7, 0.2, 0.1], sigma=0.2)
        >>> [round(weight, 2) for weight in weights.tolist()]
        [0.78, 1.04, 1.18]
    """
    rarity = -torch.tensor(frequencies, dtype=torch.float32).log()
    return (rarity - rarity.mean()) / rarity.std() * sigma + 1
