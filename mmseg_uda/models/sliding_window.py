"""Sliding-window inference."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Box = tuple[int, int, int, int]


def crop(maps: Tensor, box: Sequence[int]) -> Tensor:
    """Crop maps (..., H, W) to a box (y1, y2, x1, x2) in pixels; a view (..., y2 - y1, x2 - x1).

    Example:
        >>> crop(torch.arange(12).view(3, 4), (1, 3, 0, 2)).tolist()
        [[4, 5], [8, 9]]
    """
    y1, y2, x1, x2 = box
    return maps[..., y1:y2, x1:x2]


def window_boxes(
    size: tuple[int, int], crop_size: tuple[int, int], stride: tuple[int, int]
) -> list[Box]:
    """List the windows (y1, y2, x1, x2) that cover an image, row by row.

    All windows have the same size: ``crop_size``, or the image's where that is smaller. Windows
    that would exceed the image are moved back to its border.

    Args:
        size: (H, W) of the image.
        crop_size: (height, width) of a window.
        stride: vertical and horizontal distance between windows. All sizes are in pixels.

    Example:
        >>> window_boxes(size=(4, 6), crop_size=(4, 4), stride=(4, 3))
        [(0, 4, 0, 4), (0, 4, 2, 6)]
    """
    (height, width), (crop_height, crop_width) = size, crop_size
    return [
        (y, min(y + crop_height, height), x, min(x + crop_width, width))
        for y in _starts(height, crop_height, stride[0])
        for x in _starts(width, crop_width, stride[1])
    ]


def _starts(length: int, window: int, stride: int) -> Iterator[int]:
    """First pixels of the windows along one side of the image."""
    last = max(length - window, 0)
    steps = -(-last // stride)  # rounded up
    return (min(step * stride, last) for step in range(steps + 1))


def sliding_window_logits(
    logits: Callable[[Tensor], Tensor],
    images: Tensor,
    crop_size: tuple[int, int],
    stride: tuple[int, int],
    at_once: int | None = 1,
    cell: int = 1,
) -> Tensor:
    """Average the logits of all windows that cover a pixel.

    Args:
        logits: function from windows (N, 3, h, w) to logits (N, C, h / cell, w / cell).
        images: (B, 3, H, W).
        crop_size, stride: see :func:`window_boxes`.
        at_once: number of windows per image in one forward pass; ``None``: all. More windows need
            more memory and less time. It changes results only if the network uses statistics of
            its batch.
        cell: stride of the logits in pixels; all sizes must be multiples of it.

    Returns:
        Mean logits (B, C, H / cell, W / cell).
    """
    boxes = window_boxes(tuple(images.shape[2:]), crop_size, stride)
    at_once = at_once or len(boxes)
    total = count = None
    for start in range(0, len(boxes), at_once):
        group = boxes[start : start + at_once]
        crops = torch.cat([crop(images, box) for box in group])
        for box, window in zip(group, logits(crops).chunk(len(group)), strict=True):
            if total is None:
                size = [side // cell for side in images.shape[2:]]
                total = window.new_zeros(len(images), window.shape[1], *size)
                count = window.new_zeros(size)
            cells = [side // cell for side in box]
            crop(total, cells).add_(window)
            crop(count, cells).add_(1)
    return total / count
