"""Inference on windows that cover an image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Box = tuple[int, int, int, int]


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
    batched: bool = False,
) -> Tensor:
    """Mean of the logits of all windows that see a pixel.

    Args:
        logits: network (B, 3, h, w) -> (B, C, h, w).
        images: (B, 3, H, W).
        crop_size, stride: (height, width) of a window and between windows, in pixels.
        batched: all windows in one pass: the same result, more memory.

    Returns:
        Logits (B, C, H, W).
    """
    boxes = window_boxes(tuple(images.shape[2:]), crop_size, stride)
    crops = (images[:, :, y1:y2, x1:x2] for y1, y2, x1, x2 in boxes)
    windows = logits(torch.cat(list(crops))).chunk(len(boxes)) if batched else map(logits, crops)
    total = count = None
    for (y1, y2, x1, x2), window in zip(boxes, windows, strict=True):
        if total is None:
            total = window.new_zeros(len(images), window.shape[1], *images.shape[2:])
            count = window.new_zeros(images.shape[2:])
        total[:, :, y1:y2, x1:x2] += window
        count[y1:y2, x1:x2] += 1
    return total / count
