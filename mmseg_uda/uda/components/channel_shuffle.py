"""Random order of the colour channels, as in ADVENT's training on the source for CaCo."""

from collections.abc import Sequence

import torch
from torch import Tensor

ORDERS: dict[str, Sequence[tuple[int, int, int]]] = {
    'none': ((0, 1, 2),),
    'published': ((0, 1, 2), (2, 2, 2), (1, 2, 1)),
    'permute': ((0, 1, 2), (2, 0, 1), (1, 2, 0)),
}
"""Name -> channels that replace the three of an image, for each value of the draw.

The published code means to permute cyclically, but overwrites channels that it still needs.
"""


def shuffle_channels(images: Tensor, kind: str, draws: Sequence[int]) -> Tensor:
    """Replace the channels of normalised images (B, 3, H, W) by those of an order of ``ORDERS``.

    Args:
        kind: name of the orders.
        draws: index of the order of each image.

    >>> shuffle_channels(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1), 'permute', [1]).flatten()
    tensor([3., 1., 2.])
    """
    pairs = zip(images, draws, strict=True)
    return torch.stack([torch.stack([image[c] for c in ORDERS[kind][i]]) for image, i in pairs])
