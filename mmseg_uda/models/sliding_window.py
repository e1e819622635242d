"""Inference on windows that cover an image."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Box = tuple[int, int, int, int]


def crop(maps: Tensor, box: Sequence[int]) -> Tensor:
    """The part (..., y2 - y1, x2 - x1) of maps (..., H, W) inside a box (y1, y2, x1, x2)."""
    y1, y2, x1, x2 = box
    return maps[..., y1:y2, x1:x2]


def window_boxes(
    size: tuple[int, int], crop_size: tuple[int, int], stride: tuple[int, int]
) -> list[Box]:
    """Windows (y1, y2, x1, x2) that cover an image of ``size`` (H, W), row by row.

    Every window has the crop's size, or the image's where that is smaller: the last row and
    column are moved back into the image.
    """
    (height, width), (crop_height, crop_width) = size, crop_size
    return [
        (y, min(y + crop_height, height), x, min(x + crop_width, width))
        for y in _starts(height, crop_height, stride[0])
        for x in _starts(width, crop_width, stride[1])
    ]


def _starts(length: int, crop: int, stride: int) -> Iterator[int]:
    last = max(length - crop, 0)
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
    """Mean of the logits of all windows that see a pixel.

    Args:
        logits: network (B, 3, h, w) -> (B, C, h / cell, w / cell).
        images: (B, 3, H, W).
        crop_size, stride: (height, width) of a window and between windows, in pixels.
        at_once: how many windows of every image go through the network in one pass; ``None`` for
            all. The result is the same, more windows take more memory and less time.
        cell: side of a cell of the logits in pixels, of which all sizes are multiples.

    Returns:
        Logits (B, C, H / cell, W / cell).
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
