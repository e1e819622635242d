"""Loss of a segmentation network."""

import torch.nn.functional as F
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_uda.models.precision import at_least_float32

IGNORE = 255


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Pixel-wise cross entropy averaged over *all* pixels, and the accuracy.

    Pixels with label 255 add nothing to the sum but count in the mean, as in the published
    DACS, DAFormer and SePiCo: an image with many ignored pixels weighs less. Nothing here waits
    for the device.

    Args:
        logits: (B, C, h, w), brought to the labels' size bilinearly.
        labels: (B, H, W), int64 train ids, 255 = ignore.
        weight: (B, H, W), factor of each pixel's cross entropy; ``None`` = 1.
        class_weight: (C,), factor by each pixel's label; ``None`` = 1.

    Returns:
        The loss and the share of correct pixels in percent (ignored ones count as wrong), both
        0-dimensional.
    """
    logits = upscale(logits, labels.shape[-2:])
    loss = F.cross_entropy(
        logits, labels, weight=class_weight, ignore_index=IGNORE, reduction='none'
    )
    if weight is not None:
        loss = loss * weight
    accuracy = 100 * (logits.detach().max(1).indices == labels).float().mean()
    return loss.mean(), accuracy


def upscale(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (B, C, h, w) -> (B, C, H, W) bilinearly, at least in float32."""
    logits = at_least_float32(logits)
    if logits.shape[-2:] == tuple(size):
        return logits
    # Losses and arg-maxima reduce over the channels, which is fastest in plain NCHW memory.
    return resize(logits.contiguous(), size=tuple(size), mode='bilinear', align_corners=False)
