"""HRDA: wide context at low resolution and detail at high resolution (Hoyer et al., ECCV 2022)."""

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
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.models.segmentors import ForwardPass, Segmentor, Supervision, View
from mmseg_uda.models.sliding_window import Box, crop, sliding_window_logits

OUTPUTS = ('fused', 'LR', 'HR', 'ATT')


def random_detail_box(
    size: Sequence[int],
    crop_size: Sequence[int],
    divisor: int,
    randrange: Callable[[int], int] = random.randrange,
) -> Box:
    """Where the detail crop of a training batch lies: (y1, y2, x1, x2) in pixels.

    Offsets are multiples of ``divisor``, row first. As published the last one that would fit is
    never drawn: with a margin of 512 pixels they are 0, 8, ..., 504. A side without room is taken
    whole, without a draw.

    Args:
        size, crop_size: (height, width) of the images and of the crop.
        randrange: gives a random number in 0..n-1. Python's global generator is seeded alike on
            all ranks, so all of them look at the same place, as one rank with the whole batch does.
    """
    box = []
    for side, length in zip(size, crop_size, strict=True):
        choices = (max(side - length, 0) + 1) // divisor
        start = randrange(choices) * divisor if choices > 1 else 0
        box += [start, min(start + length, side)]
    return tuple(box)


@MODELS.register_module()
class HRDASegmentor(Segmentor):
    """Fuses the predictions of a down-scaled image and of full-size crops by a learned attention.

    Encoder and head are shared by both scales. In training the *context* is the whole image, down-
    scaled, the *detail* one random crop of it; in inference the details are windows that cover the
    image. Sides of images must be multiples of ``size_divisor``, so that both scales have cells
    that fit onto each other.

    Args:
        decode_head: config of a :class:`HRDAHead`.
        detail_size: (height, width) of the detail crop and of the windows, in pixels.
        context_scale: of the context; the detail has scale 1.
        feature_scale: which features a loss on features sees: 'context', or 'all' for both scales.
        hr_loss_weight, lr_loss_weight: of the detail's and of the context's own cross entropy; the
            fused prediction's has the rest.
        box_divisor: of the offsets of the detail crop; ``None``: ``size_divisor``. The published
            code has 8 also where a cell of the context has 16 pixels (``DLV2Head``); boxes are
            then rounded down to cells.
        overlap: windows overlap by half, instead of lying side by side.
        detail_windows: how many windows go through the network at once; ``None`` for all. It
            holds in evaluation mode: in training mode (the teacher's) all go at once, because they
            share BatchNorm's statistics.
        blur_detail: detail of the resolution of a context of scale 0.5 (an ablation).
        output: what inference gives: the 'fused' logits, those of the context ('LR') or of the
            detail alone ('HR'), or the map of the attention ('ATT'), weighted by the fused class
            probabilities.
        kwargs: of :class:`Segmentor`.

    Raises:
        UserError: an unknown ``output`` or ``feature_scale``, or a ``detail_size`` that is no
            multiple of ``size_divisor``; in a forward pass images of such a size.
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
        # As published, a box may end inside of a cell of the context; a window never does.
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
        """Images (B, 3, H, W) -> maps (B, D_i, h_i, w_i) of the context."""
        return super().features(self.context_images(images))

    def whole_pass(self, images: Tensor) -> ForwardPass:
        """The pass of the context alone on images (B, 3, H, W)."""
        features = self.features(images)
        return ForwardPass([View(features, self.context_images)], partial(self.decode, features))

    def train_pass(self, images: Tensor) -> ForwardPass:
        """A training pass without labels: fused logits, with a random detail crop."""
        box = self.draw_box(images.shape[2:])
        context, detail, fused, *_ = self.with_detail(images, box)
        return ForwardPass(self.views(context, detail, box), fused)

    def supervise(
        self,
        images: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        detail_box: Box | None = None,
    ) -> Supervision:
        """One supervised forward pass, see :meth:`Segmentor.supervise`.

        Args:
            detail_box: (y1, y2, x1, x2) of the detail crop, for all images; drawn if not given.

        Returns:
            Losses 'decode.*' of the fused prediction, 'decode.hr.*' of the detail and 'decode.lr.*'
            of the context where they have a weight, features of the context, fused logits.
        """
        size = images.shape[2:]
        box = detail_box or self.draw_box(size)
        context, detail, fused, lr, hr = self.with_detail(images, box)
        whole = 0, size[0], 0, size[1]
        weights = {'lr': self.lr_loss_weight, 'hr': self.hr_loss_weight}
        terms = [('decode', 1 - sum(weights.values()), fused, whole)]
        terms += [
            (f'decode.{name}', weights[name], logits, seen)
            for name, logits, seen in (('lr', lr, whole), ('hr', hr, box))
            if weights[name] > 0
        ]
        losses = {}
        for name, factor, logits, seen in terms:
            seen_weight = None if weight is None else crop(weight, seen)
            terms_of = self.label_losses(name, logits, crop(labels, seen), seen_weight)
            losses |= {
                key: factor * value if 'loss' in key else value for key, value in terms_of.items()
            }
        return Supervision(losses, fused, self.views(context, detail, box))

    def views(self, context: list[Tensor], detail: list[Tensor], box: Box) -> list[View]:
        """The views that losses on features see, by ``feature_scale``."""
        views = [View(context, self.context_images)]
        if self.feature_scale == 'all':
            views.append(View(detail, partial(self.detail_images, box=box), box))
        return views

    def draw_box(self, size: Sequence[int]) -> Box:
        """A random detail box for training on images of ``size`` (H, W)."""
        return random_detail_box(size, self.detail_size, self.box_divisor)

    def with_detail(
        self, images: Tensor, box: Box
    ) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor, Tensor]:
        """A training pass: images (B, 3, H, W), of which ``box`` is seen in detail.

        Returns:
            Features of context and detail; logits: fused, of the context as far as they count (see
            :meth:`fuse`), of the detail.
        """
        context = self.features(images)
        detail = super().features(self.detail_images(images, box))
        lr, hr = self.decode(context), self.decode(detail)
        attention = self.decode_head.attention(context, lr)
        fused, lr = self.fuse(lr, hr, attention, images.shape[2:], box)
        return context, detail, fused, lr, hr

    def infer(self, images: Tensor) -> ForwardPass:
        """An inference pass on images (B, 3, H, W); its logits are what ``output`` selects."""
        size = images.shape[2:]
        whole = 0, size[0], 0, size[1]
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
        """Mean logits (B, C, h, w), at the head's stride, of detail windows on (B, 3, H, W)."""
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
        """Fuse both scales, by the attention inside of the detail's box; outside is the context.

        Args:
            lr: (B, C, h', w'), logits of the context.
            hr: (B, C, h, w), logits of the detail.
            attention: (B, C or 1, h', w').
            size: (H, W) of the images.
            box: of the detail, in pixels.

        Returns:
            Fused logits (B, C, H / stride, W / stride), and those of the context's that count.
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
        """Images (B, 3, H, W) as the context sees them: down-scaled."""
        _check_size('images', images.shape[2:], self.size_divisor)
        return _rescale(images, self.context_scale)

    def detail_images(self, images: Tensor, box: Box) -> Tensor:
        """Images (B, 3, H, W) as the detail sees them: cropped."""
        _check_size('images', images.shape[2:], self.size_divisor)
        if self.blur_detail:
            images = _rescale(_rescale(images, 0.5), 2)
        return crop(images, box)


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
            f'HRDA: {name} of {size[0]} x {size[1]} pixels, both sides must be multiples of '
            f'{divisor} for the two scales to fit onto each other'
        )
