"""Feature maps and token sequences: two views of the same memory.

A map (B, C, H, W) in channels-last memory and its tokens (B, H * W, C) share their elements, so the
two functions copy nothing as long as a network keeps that layout.
"""

from torch import Tensor


def to_tokens(feature_map: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H * W, C) -> (B, C, H, W) for ``size`` = (H, W)."""
    return tokens.transpose(1, 2).unflatten(2, size)
