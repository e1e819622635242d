"""Losses of segmentation networks."""

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
    """Compute the pixel-wise cross entropy and the accuracy, without device synchronisation.

    ``average='all'`` divides the sum by the number of *all* pixels, as the published DACS, DAFormer
    and SePiCo do: ignored pixels add 0 to the sum but count in the mean. ``average='valid'``
    divides by the number of labelled pixels of the global batch (FADA, SDCA); each rank returns its
    share of this mean times the number of ranks, so that the mean over ranks is the loss.

    Args:
        logits: (B, C, h, w), resized bilinearly to (H, W).
        labels: (B, H, W) int64 train ids, 255 = ignore.
        weight: (B, H, W), factor of each pixel's cross entropy; ``None``: 1.
        class_weight: (C,), factor of the cross entropy by the pixel's label; ``None``: 1.
        average: pixels to average over. The loss is 0 if no pixel is labelled.

    Returns:
        The loss and the accuracy in percent, both 0-dimensional. The accuracy is the share of
        correct pixels among all pixels; ignored pixels count as wrong.

    Example:
        >>> logits = torch.zeros(1, 2, 2, 2)
        >>> logits[:, 0] = 8.0  # predicts class 0 everywhere
        >>> labels = torch.tensor([[[0, 0], [1, 255]]])
        >>> loss, accuracy = segmentation_loss(logits, labels)
        >>> round(loss.item(), 2), round(accuracy.item(), 1)  # 8 / 4 pixels, 2 of 4 are correct
        (2.0, 50.0)
        >>> loss, _ = segmentation_loss(logits, labels, average='valid')
        >>> round(loss.item(), 2)  # 8 / 3 labelled pixels
        2.67
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
    """Compute the Lovász-softmax loss, a surrogate of 1 - mean IoU (Berman et al., CVPR 2018).

    The batch is split into sets of ``images`` consecutive images. The loss of a set is that of all
    its labelled pixels together, averaged over the classes among their labels; it is 0 without a
    labelled pixel. The result is the mean over the sets. Several ranks compute the same loss as one
    process with the whole batch only if both split it into the same sets.

    For class c, let e_1 >= e_2 >= ... be the sorted errors |[y = c] - p_c| of the pixels. The loss
    is the sum of e_k d_k, where d_k is the increase of the Jaccard loss when pixel k is
    misclassified after pixels 1 to k - 1. With intersection I and union U after pixel k, d_k is 1/U
    if the pixel belongs to c and I/(U (U - 1)) otherwise. Gradients flow through e_k only.

    mmseg's ``LovaszLoss`` synchronises with the device once per class and fails on a single
    labelled pixel; this function sorts all classes at once.

    Args:
        logits: (B, C, H, W).
        labels: (B, H, W) int64 train ids, 255 = ignore.
        images: number of images of a set; ``None``: all B.

    Returns:
        The loss, 0-dimensional.

    Raises:
        UserError: B is not a multiple of ``images``.

    Example:
        >>> logits = torch.zeros(1, 2, 2, 2)
        >>> logits[:, 0] = 100.0  # predicts class 0 everywhere
        >>> labels = torch.tensor([[[0, 0], [1, 255]]])
        >>> round(lovasz_softmax(logits, labels).item(), 3)  # IoU 2/3 and 0
        0.667
    """
    if images is None or images == len(labels):
        return _lovasz_softmax(logits, labels)
    if len(labels) % images:
        raise UserError(
            f'segmentor.lovasz_images is {images}, but each process has {len(labels)} labelled '
            'images per step; set lovasz_images to a divisor of it, or change the batch size'
        )
    sets = zip(logits.split(images), labels.split(images), strict=True)
    return torch.stack([_lovasz_softmax(*one) for one in sets]).mean()


def _lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of one set: logits (B, C, H, W), labels (B, H, W)."""
    probabilities = at_least_float32(logits).softmax(dim=1).transpose(0, 1).flatten(1)  # (C, N)
    labels = labels.flatten()
    classes = torch.arange(len(probabilities), device=labels.device).unsqueeze(1)
    members = labels == classes
    errors = (members.to(probabilities) - probabilities).abs()
    return (errors * _jaccard_steps(errors, members, labels == IGNORE)).sum()


@torch.no_grad()
def _jaccard_steps(errors: Tensor, members: Tensor, ignored: Tensor) -> Tensor:
    """Increments (C, N) of the Jaccard loss, divided by the number of classes with labels.

    Args:
        errors: (C, N), of each class at each pixel.
        members: (C, N) bool, whether the pixel has the class as its label.
        ignored: (N,) bool, pixels without a label.
    """
    # Ignored pixels are sorted last, so that they do not change the increments of the others.
    order = errors.masked_fill(ignored, -1).argsort(dim=1, descending=True)
    inside = members.gather(1, order)
    size = inside.sum(dim=1, keepdim=True)
    seen = inside.cumsum(dim=1, dtype=torch.int32)
    intersection = size - seen
    union = (size + torch.arange(1, len(ignored) + 1, device=ignored.device) - seen).to(errors)
    step = torch.where(inside, 1 / union, intersection / union / (union - 1).clamp(min=1))
    step = torch.empty_like(step).scatter_(1, order, step).masked_fill_(ignored, 0)
    present = (size > 0).to(errors)
    return step.mul_(present / present.sum().clamp(min=1))


def upscale(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Resize logits (B, C, h, w) bilinearly to (B, C, H, W), in float32 or float64.

    Args:
        size: (H, W) in pixels; logits of this size are returned without a copy.
        align_corners: see :func:`torch.nn.functional.interpolate`.

    Example:
        >>> upscale(torch.tensor([[[[0.0, 4.0]]]]), (1, 4)).tolist()
        [[[[0.0, 1.0, 3.0, 4.0]]]]
    """
    logits = at_least_float32(logits)
    if logits.shape[-2:] == tuple(size):
        return logits
    # The losses and the arg-max that follow reduce over channels, which is fastest in NCHW memory.
    return resize(logits.contiguous(), tuple(size), None, 'bilinear', align_corners, warning=False)
