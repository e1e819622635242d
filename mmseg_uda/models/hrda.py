"""HRDA: low-resolution context and high-resolution detail (Hoyer et al., ECCV 2022)."""

import math
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial

import torch.nn.functional as F
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import ForwardPass, Supervision, View
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.models.segmentors import Segmentor
from mmseg_uda.models.sliding_window import Box, crop, sliding_window_logits

OUTPUTS = ('fused', 'LR', 'HR', 'ATT')


def random_detail_box(
    size: Sequence[int],
    crop_size: Sequence[int],
    divisor: int,
    randrange: Callable[[int], int] = random.randrange,
) -> Box:
    """Choose the random detail crop (y1, y2, x1, x2) of a training batch, in pixels.

    Offsets are multiples of ``divisor``. As in the published code, the last offset that fits is
    never chosen: if an image is 512 pixels larger than the crop, the offsets are 0, 8, ..., 504.
    A side that is not larger than the crop's is used in full and consumes no random number.

    Args:
        size, crop_size: (height, width) of the images and of the crop, in pixels.
        divisor: of the offsets, in pixels.
        randrange: returns a random integer in 0..n-1; called for the rows first. The default uses
            Python's global generator, which has the same seed on all ranks, so that all ranks crop
            at the same place.
    """
    box = []
    for side, length in zip(size, crop_size, strict=True):
        choices = (max(side - length, 0) + 1) // divisor
        start = randrange(choices) * divisor if choices > 1 else 0
        box += [start, min(start + length, side)]
    return tuple(box)


@MODELS.register_module()
class HRDASegmentor(Segmentor):
    """Fuses predictions at two scales with a learned attention.

    The *context* is the whole image, down-scaled. The *detail* is full-resolution crops of the
    image. Both share backbone and head. The passes of :class:`Segmentor` differ in the detail:

    - :meth:`supervise`, :meth:`train_pass`: one random crop, the same for all images of the batch;
      fused logits;
    - :meth:`infer`, :meth:`encode_decode`: windows that cover the image; fused logits;
    - :meth:`whole_pass`, :meth:`features`: no detail, the context alone.

    Args:
        decode_head: config of an :class:`HRDAHead`.
        detail_size: (height, width) of the detail crop and of the windows, in pixels.
        context_scale: scale factor of the context images.
        feature_scale: features that losses on features use: 'context', or 'all' for context and
            detail.
        hr_loss_weight, lr_loss_weight: weights of the separate losses of detail and context. The
            loss of the fused prediction has weight 1 - hr_loss_weight - lr_loss_weight.
        box_divisor: the offsets of the detail crop are multiples of it, in pixels; ``None``:
            ``size_divisor``. The published code uses 8 even for ``DLV2Head``, where a cell of the
            context covers 16 pixels; boxes are then rounded down to whole cells.
        overlap: windows overlap by half of their size; otherwise they are adjacent.
        detail_windows: number of windows per image in one forward pass in evaluation mode;
            ``None``: all. In training mode (a teacher's) it is always all, because BatchNorm uses
            the statistics of all windows.
        blur_detail: reduce the detail to half the resolution and resize it back (an ablation).
        output: result of inference: 'fused', 'LR' (context) or 'HR' (detail) logits, or 'ATT', the
            attention averaged over classes with the fused class probabilities as weights.
        kwargs: arguments of :class:`Segmentor`.

    Raises:
        UserError: unknown ``output`` or ``feature_scale``, or a ``detail_size`` that does not fit
            the cells of both scales; in forward passes: images whose sides are not multiples of
            ``size_divisor``.
    """

    def __init__(
        self,
        *,
        detail_size: Sequence[int],
        context_scale: float = 0.5,
        feature_scale: str = 'context',
        hr_loss_weight: float = 0.1,
        lr_loss_weight: float = 0.0,
        box_divisor: int | None = None,
        overlap: bool = True,
        detail_windows: int | None = None,
        blur_detail: bool = False,
        output: str = 'fused',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        _check_choice('output', output, OUTPUTS)
        _check_choice('feature_scale', feature_scale, ('context', 'all'))
        self.stride = self.decode_head.stride
        self.context_scale = context_scale
        context_cell = Fraction(self.stride) / Fraction(context_scale).limit_denominator(64)
        self.size_divisor = math.lcm(context_cell.numerator, 2 * self.stride)
        self.detail_size = tuple(detail_size)
        self.box_divisor = box_divisor or self.size_divisor
        # Windows that overlap by half need multiples of 2 * stride. A detail crop must also end at
        # cells of the context, unless a box_divisor is given, as in the published code.
        window_divisor = 2 * self.stride if box_divisor else self.size_divisor
        _check_size('detail_size', self.detail_size, window_divisor)
        self.feature_scale = feature_scale
        self.hr_loss_weight = hr_loss_weight
        self.lr_loss_weight = lr_loss_weight
        self.overlap = overlap
        self.detail_windows = detail_windows
        self.blur_detail = blur_detail
        self.output = output

    def features(self, images: Tensor) -> list[Tensor]:
        """Run the backbone on the context of images (B, 3, H, W); maps (B, D_i, h_i, w_i)."""
        return super().features(self.context_images(images))

    def whole_pass(self, images: Tensor) -> ForwardPass:
        """Run backbone and head on the context alone of images (B, 3, H, W), without detail.

        The logits are (B, C, h', w') at the context's resolution.
        """
        features = self.features(images)
        return ForwardPass([View(features, self.context_images)], partial(self.decode, features))

    def train_pass(self, images: Tensor) -> ForwardPass:
        """Fuse context and one random detail crop of images (B, 3, H, W); logits (B, C, h, w)."""
        views, fused, *_ = self.with_detail(images, self.draw_box(images.shape[2:]))
        return ForwardPass(views, fused)

    def supervise(
        self,
        images: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        detail_box: Box | None = None,
    ) -> Supervision:
        """Run a training pass with one detail crop and compute the losses by labels.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, H, W) int64 train ids, 255 = ignore.
            weight: (B, H, W), factor of each pixel's cross entropy; ``None``: 1.
            detail_box: (y1, y2, x1, x2) of the detail crop of all images, in pixels; ``None``:
                random.

        Returns:
            Fused logits (B, C, h, w), the views of ``feature_scale``, and the losses times their
            weights: 'decode.*' of the fused prediction, 'decode.hr.*' of the detail and
            'decode.lr.*' of the context. Those of detail and context are left out at weight 0.
        """
        whole = _whole_box(images)
        box = detail_box or self.draw_box(images.shape[2:])
        views, fused, lr, hr = self.with_detail(images, box)
        weights = {'lr': self.lr_loss_weight, 'hr': self.hr_loss_weight}
        terms = [('decode', 1 - sum(weights.values()), fused, whole)]
        terms += [
            (f'decode.{name}', weights[name], logits, covered)
            for name, logits, covered in (('lr', lr, whole), ('hr', hr, box))
            if weights[name] > 0
        ]
        losses = {}
        for name, factor, logits, covered in terms:
            covered_weight = None if weight is None else crop(weight, covered)
            entries = self.label_losses(name, logits, crop(labels, covered), covered_weight)
            losses |= {
                key: factor * value if 'loss' in key else value for key, value in entries.items()
            }
        return Supervision(losses, fused, views)

    def draw_box(self, size: Sequence[int]) -> Box:
        """Choose a random detail box (y1, y2, x1, x2) for images of ``size`` (H, W), in pixels."""
        return random_detail_box(size, self.detail_size, self.box_divisor)

    def with_detail(self, images: Tensor, box: Box) -> tuple[list[View], Tensor, Tensor, Tensor]:
        """Run a training pass on images (B, 3, H, W) with the detail crop ``box``.

        Returns:
            The views of ``feature_scale``, fused logits (B, C, h, w), the context's weighted logits
            (B, C, h', w') (see :meth:`fuse`), and the detail's logits (B, C, h'', w'').
        """
        context = self.features(images)
        detail = super().features(self.detail_images(images, box))
        lr, hr = self.decode(context), self.decode(detail)
        attention = self.decode_head.attention(context, lr)
        fused, lr = self.fuse(lr, hr, attention, images.shape[2:], box)
        views = [View(context, self.context_images)]
        if self.feature_scale == 'all':
            views.append(View(detail, partial(self.detail_images, box=box), box))
        return views, fused, lr, hr

    def infer(self, images: Tensor) -> ForwardPass:
        """Fuse the context and all detail windows of images (B, 3, H, W).

        Returns:
            Logits (B, C, h, w) as ``output`` selects, (B, 1, h, w) for 'ATT', with the context's
            view; 'HR' has no view.
        """
        size, whole = images.shape[2:], _whole_box(images)
        if self.output == 'HR':
            return ForwardPass([], self.window_logits(self.detail_images(images, whole)))
        context = self.whole_pass(images)
        lr = context.logits
        if self.output == 'LR':
            return ForwardPass(context.views, upscale(lr, [side // self.stride for side in size]))
        hr = self.window_logits(self.detail_images(images, whole))
        attention = self.decode_head.attention(context.features, lr)
        fused, _ = self.fuse(lr, hr, attention, size, whole)
        if self.output == 'ATT':
            shares = upscale(attention, hr.shape[2:]) * fused.softmax(dim=1)
            return ForwardPass(context.views, shares.sum(dim=1, keepdim=True))
        return ForwardPass(context.views, fused)

    def window_logits(self, images: Tensor) -> Tensor:
        """Predict detail images (B, 3, H, W) window by window; mean logits (B, C, h, w)."""
        return sliding_window_logits(
            lambda windows: at_least_float32(
                self.decode(super(HRDASegmentor, self).features(windows))
            ),
            images,
            crop_size=self.detail_size,
            stride=[side // 2 if self.overlap else side for side in self.detail_size],
            at_once=None if self.training else self.detail_windows,
            cell=self.stride,
        )

    def fuse(
        self, lr: Tensor, hr: Tensor, attention: Tensor, size: Sequence[int], box: Box
    ) -> tuple[Tensor, Tensor]:
        """Compute attention * detail + (1 - attention) * context; outside ``box`` the context.

        Args:
            lr: (B, C, h', w'), logits of the context.
            hr: (B, C, h'', w''), logits of the detail inside ``box``.
            attention: (B, C or 1, h', w'), weight of the detail in 0..1.
            size: (H, W) of the images, in pixels.
            box: (y1, y2, x1, x2) of the detail, in pixels.

        Returns:
            Fused logits (B, C, H // stride, W // stride), and the weighted logits of the context
            (B, C, h', w'): (1 - attention) * lr inside the box, lr outside.
        """
        lr, hr = at_least_float32(lr), at_least_float32(hr)
        cells = [int(side * self.context_scale / self.stride) for side in box]
        mask = lr.new_zeros(1, 1, *lr.shape[2:])
        crop(mask, cells).fill_(1)
        attention = attention * mask
        lr = (1 - attention) * lr

        top, bottom, left, right = (side // self.stride for side in box)
        height, width = (side // self.stride for side in size)
        hr = F.pad(hr, (left, width - right, top, height - bottom))
        return upscale(attention, (height, width)) * hr + upscale(lr, (height, width)), lr

    def context_images(self, images: Tensor) -> Tensor:
        """Resize images (B, 3, H, W) to the context: (B, 3, s * H, s * W), s = context_scale."""
        _check_size('images', images.shape[2:], self.size_divisor)
        return _rescale(images, self.context_scale)

    def detail_images(self, images: Tensor, box: Box) -> Tensor:
        """Crop images (B, 3, H, W) to the detail of ``box``: (B, 3, y2 - y1, x2 - x1)."""
        _check_size('images', images.shape[2:], self.size_divisor)
        if self.blur_detail:
            images = _rescale(_rescale(images, 0.5), 2)
        return crop(images, box)


def _whole_box(images: Tensor) -> Box:
    """The box of whole images (B, 3, H, W)."""
    return 0, images.shape[2], 0, images.shape[3]


def _rescale(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    size = [round(side * scale) for side in images.shape[2:]]
    return resize(images, size=size, mode='bilinear', align_corners=False)


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f'HRDASegmentor: {name} is {value!r}, it must be one of {choices}')


def _check_size(name: str, size: Sequence[int], divisor: int) -> None:
    if any(side % divisor for side in size):
        raise UserError(
            f'HRDA: {name} of {size[0]} x {size[1]} pixels: height and width must be multiples of '
            f'{divisor}, so that the cells of both scales align'
        )
