"""Losses of a segmentation network."""

from typing import Literal

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.models.precision import at_least_float32


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
    average: Literal['all', 'valid'] = 'all',
) -> tuple[Tensor, Tensor]:
    """Pixel-wise cross entropy and the accuracy.

    By default the mean is over *all* pixels: those with label 255 add nothing to the sum but count,
    as in the published DACS, DAFormer and SePiCo, so an image with many ignored pixels weighs less.
    With ``average='valid'`` it is over the labelled pixels of the batch, of all ranks (FADA, SDCA);
    a rank returns its share times the number of ranks. Nothing here waits for the device.

    Args:
        logits: (B, C, h, w), brought to the labels' size bilinearly.
        labels: (B, H, W), int64 train ids, 255 = ignore.
        weight: (B, H, W), factor of each pixel's cross entropy; ``None`` = 1.
        class_weight: (C,), factor by each pixel's label; ``None`` = 1.
        average: over which pixels the loss is averaged; without a labelled one it is 0.

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
    accuracy = 100 * (logits.detach().max(1).indices == labels).to(logits).mean()
    if average == 'all':
        return loss.mean(), accuracy
    valid = (labels != IGNORE).sum()
    all_reduce(valid)
    return loss.sum() * get_world_size() / valid.clamp(min=1), accuracy


def lovasz_softmax(logits: Tensor, labels: Tensor, images: int | None = None) -> Tensor:
    """Surrogate of 1 - IoU, averaged over the classes that the labels have (Berman, CVPR 2018).

    The pixels of ``images`` consecutive images count as one set, ignored ones left out; the loss is
    the mean over the sets. It depends on how large they are, so a process with the whole batch and
    several with a share each agree only where the sets are the same. For a class with errors
    e = |[y = c] - p_c| in falling order the loss is sum e_k d_k, where d_k is what the k-th error
    adds to the Jaccard loss of the k largest: 1/U for a pixel of the class, I/(U (U - 1)) for
    another, with intersection I and union U after it. d is a constant. 0 without a labelled pixel.

    mmseg's ``LovaszLoss`` asks the device once for each class, and fails with a single labelled
    pixel; here all classes are sorted at once.

    Args:
        logits: (B, C, H, W).
        labels: (B, H, W) int64, 255 = ignore.
        images: of a set; ``None``: all B.

    Raises:
        UserError: B is no multiple of ``images``.
    """
    if images is not None and images != len(labels):
        if len(labels) % images:
            raise UserError(
                f'segmentor.lovasz_images is {images}, but a process has {len(labels)} labelled '
                'images a step: make them a multiple of it, or set another lovasz_images'
            )
        sets = zip(logits.split(images), labels.split(images), strict=True)
        return torch.stack([lovasz_softmax(*one) for one in sets]).mean()
    probabilities = at_least_float32(logits).softmax(dim=1).transpose(0, 1).flatten(1)  # (C, N)
    labels = labels.flatten()
    classes = torch.arange(len(probabilities), device=labels.device).unsqueeze(1)
    members = labels == classes
    errors = (members.to(probabilities) - probabilities).abs()
    with torch.no_grad():
        # Ignored pixels go to the end, where they change nothing before them, and weigh nothing.
        order = errors.masked_fill(labels == IGNORE, -1).argsort(dim=1, descending=True)
        inside = members.gather(1, order)
        size = inside.sum(dim=1, keepdim=True)
        seen = inside.cumsum(dim=1, dtype=torch.int32)
        intersection = size - seen
        union = (size + torch.arange(1, len(labels) + 1, device=labels.device) - seen).to(errors)
        step = torch.where(inside, 1 / union, intersection / union / (union - 1).clamp(min=1))
        step = torch.empty_like(step).scatter_(1, order, step).masked_fill_(labels == IGNORE, 0)
        present = (size > 0).to(errors)
        step *= present / present.sum().clamp(min=1)
    return (errors * step).sum()


def upscale(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Logits (B, C, h, w) -> (B, C, H, W) bilinearly, at least in float32."""
    logits = at_least_float32(logits)
    if logits.shape[-2:] == tuple(size):
        return logits
    # Losses and arg-maxima reduce over the channels, which is fastest in plain NCHW memory.
    return resize(logits.contiguous(), tuple(size), None, 'bilinear', align_corners, warning=False)
