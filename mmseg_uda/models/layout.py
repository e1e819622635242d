"""Conversion between feature maps and token sequences.

A map (B, C, H, W) in channels-last memory has the same layout as contiguous tokens (B, H * W, C),
so neither function copies data.
"""

from torch import Tensor


def to_tokens(feature_map: Tensor) -> Tensor:
    """Map (B, C, H, W) -> tokens (B, H * W, C)."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens (B, H * W, C) -> map (B, C, H, W), with ``size`` = (H, W)."""
    return tokens.transpose(1, 2).unflatten(2, size)
