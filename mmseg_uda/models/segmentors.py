"""The segmentation network that a method adapts."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss, upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.models.pretrained import load_pretrained_backbone
from mmseg_uda.models.sliding_window import Box, sliding_window_logits


@dataclass
class View:
    """One pass through the backbone: its input and its output.

    Attributes:
        features: maps (B, D_i, h_i, w_i) of the backbone, or of the neck.
        prepare: images (B, 3, H, W) -> the backbone's input, to run another network on the same.
        box: (y1, y2, x1, x2), the pixels of the images that the input covers; ``None``: all.
    """

    features: list[Tensor]
    prepare: Callable[[Tensor], Tensor] = lambda images: images
    box: Box | None = None


class ForwardPass:
    """One forward pass of a segmentor.

    Args:
        views: the passes through the backbone; the first is that of the whole images.
        logits: (B, C, h, w), the head's output, or a function that computes it on first use.
    """

    def __init__(self, views: list[View], logits: Tensor | Callable[[], Tensor]) -> None:
        self.views = views
        self._logits = logits

    @cached_property
    def logits(self) -> Tensor:
        """The head's output, (B, C, h, w)."""
        return self._logits() if callable(self._logits) else self._logits

    @property
    def features(self) -> list[Tensor]:
        """Maps (B, D_i, h_i, w_i) of the first view."""
        return self.views[0].features


class Supervision(ForwardPass):
    """A forward pass with its losses by labels.

    Args:
        losses: 0-dimensional tensors; those with "loss" in their names are summed and
            back-propagated, the others are metrics for the log.
    """

    def __init__(self, losses: dict[str, Tensor], logits: Tensor, views: list[View]) -> None:
        super().__init__(views, logits)
        self.losses = losses


@MODELS.register_module()
class Segmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the calls that adaptation methods are built from.

    :meth:`features` and :meth:`decode` are backbone and head alone. :meth:`train_pass`,
    :meth:`supervise` (with labels) and :meth:`infer` are whole forward passes.

    Args:
        pretrained: path of the backbone's ImageNet weights (see
            :func:`mmseg_uda.models.pretrained.load_pretrained_backbone`), read by
            ``init_weights``; ``None`` trains from scratch.
        test_cfg: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))``;
            with ``direct=True`` whole-image logits are up-scaled once, from the head's stride to
            the size of the labels, and not to the input's size first;
            with ``batched_slide=True`` all windows of an image go through the network at once;
            with ``class_weight`` predictions are the arg-max of the class
            probabilities times these (SePiCo's evaluation by night).
        class_weight: factors of the cross entropy by label, see
            :func:`mmseg_uda.models.class_weights.class_weights`.
        average: over which pixels the cross entropy is averaged, 'all' or the 'valid' ones, see
            :func:`mmseg_uda.models.losses.segmentation_loss`.
        lovasz_weight: of a further loss, :func:`mmseg_uda.models.losses.lovasz_softmax`.
        lovasz_images: whose pixels that loss takes as one set; ``None``: all images of the process.
        temperature: logits are divided by it in the training losses, and nowhere else.
        kwargs: of mmseg's ``EncoderDecoder`` (backbone, decode_head, neck, auxiliary_head, ...).
            The head's ``align_corners`` says how logits are up-scaled everywhere.

    Raises:
        UserError: for a ``test_cfg`` that says neither, or lacks the window's size; for another
            ``average``; for ``lovasz_images`` below 1.
    """

    size_divisor = 1
    """Sides of images must be multiples of it, in pixels."""

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        test_cfg: dict | None = None,
        class_weight: Sequence[float] | dict | None = None,
        average: Literal['all', 'valid'] = 'all',
        lovasz_weight: float = 0.0,
        lovasz_images: int | None = None,
        temperature: float = 1.0,
        **kwargs,
    ) -> None:
        test_cfg = ConfigDict(test_cfg or dict(mode='whole'))
        _check_test_cfg(test_cfg)
        if average not in ('all', 'valid'):
            raise UserError(f"segmentor.average is {average!r}, it must be 'all' or 'valid'")
        if lovasz_images is not None and (not isinstance(lovasz_images, int) or lovasz_images < 1):
            raise UserError(
                f'segmentor.lovasz_images is {lovasz_images!r}, it must be a number of images'
            )
        with warnings.catch_warnings():
            # Heads of mmseg build a loss of their own, whose options do not matter here.
            warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')
            super().__init__(test_cfg=test_cfg, **kwargs)
        self.size_divisor = getattr(self.backbone, 'size_divisor', 1)
        self.pretrained = pretrained
        self.average = average
        self.lovasz_weight = lovasz_weight
        self.lovasz_images = lovasz_images
        self.temperature = temperature
        for name, weight in (
            ('class_weight', class_weight),
            ('test_class_weight', test_cfg.get('class_weight')),
        ):
            self.register_buffer(name, class_weights(weight), persistent=False)

    def init_weights(self) -> None:
        """Initialise from scratch, then read the backbone's pretrained weights if there are any."""
        super().init_weights()
        if self.pretrained is not None:
            load_pretrained_backbone(self.backbone, self.pretrained)

    def problems(self, num_classes: int) -> Iterator[str]:
        """What does not fit data of ``num_classes`` classes, one sentence each."""
        heads = dict(decode_head=self.decode_head)
        if self.with_auxiliary_head:
            heads['auxiliary_head'] = self.auxiliary_head
        for name, head in heads.items():
            for one in head if isinstance(head, nn.ModuleList) else [head]:
                if (number := getattr(one, 'num_classes', num_classes)) != num_classes:
                    yield (
                        f'num_classes of model.segmentor.{name} is {number}, but the data set has '
                        f'{num_classes} classes'
                    )
        for name in ('class_weight', 'test_class_weight'):
            weight = getattr(self, name)
            if weight is not None and len(weight) != num_classes:
                yield (
                    f'model.segmentor: {name} has {len(weight)} numbers, but the data set has '
                    f'{num_classes} classes'
                )

    def size_problems(self, **sizes: Sequence[int] | None) -> Iterator[str]:
        """Describe image sizes that are not multiples of ``size_divisor``, one sentence each.

        Args:
            sizes: (height, width) in pixels, by the name of the images ('source', 'target').
        """
        for name, size in sizes.items():
            if size is not None and any(side % self.size_divisor for side in size):
                fitting = [math.ceil(side / self.size_divisor) * self.size_divisor for side in size]
                yield (
                    f'{name} images have {size[0]} x {size[1]} pixels, but both sides must be '
                    f'multiples of {self.size_divisor} for model.segmentor: crop or resize them '
                    f'in the pipeline, e.g. to {fitting[0]} x {fitting[1]}'
                )

    @property
    def feature_channels(self) -> int:
        """Number of channels of the last features."""
        channels = self.decode_head.in_channels
        return channels if isinstance(channels, int) else channels[-1]

    def features(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> maps (B, D_i, h_i, w_i) of the backbone, or of the neck."""
        return list(self.extract_feat(images))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> logits (B, C, h, w) at the head's stride."""
        return self.decode_head(features)

    def project(self, features: list[Tensor]) -> list[Tensor]:
        """Features -> embeddings (B, A, h_i, w_i) of the projection head, for contrast."""
        return self.auxiliary_head(features)

    def whole_pass(self, images: Tensor) -> ForwardPass:
        """One pass of backbone and head on the whole images (B, 3, H, W)."""
        features = self.features(images)
        return ForwardPass([View(features)], partial(self.decode, features))

    def train_pass(self, images: Tensor) -> ForwardPass:
        """A training pass without labels on images (B, 3, H, W)."""
        return self.whole_pass(images)

    def infer(self, images: Tensor) -> ForwardPass:
        """An inference pass on images (B, 3, H, W)."""
        return self.whole_pass(images)

    def supervise(
        self, images: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> Supervision:
        """One supervised forward pass.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, H, W), int64 train ids, 255 = ignore.
            weight: (B, H, W), factor of each pixel's cross entropy; ``None`` = 1.

        Returns:
            Losses 'decode.loss_seg' and 'decode.acc_seg' (percent), features and logits; with a
            Lovász weight 'decode.loss_lovasz', multiplied by it.
        """
        seen = self.whole_pass(images)
        losses = self.label_losses('decode', seen.logits, labels, weight)
        return Supervision(losses, seen.logits, seen.views)

    def label_losses(
        self, name: str, logits: Tensor, labels: Tensor, weight: Tensor | None
    ) -> dict[str, Tensor]:
        """Losses and accuracy of logits (B, C, h, w), see :meth:`supervise`.

        Args:
            name: prefix of their names.
        """
        logits = at_least_float32(logits) / self.temperature
        full = upscale(logits, labels.shape[1:], self.align_corners)
        loss, accuracy = segmentation_loss(full, labels, weight, self.class_weight, self.average)
        losses = {f'{name}.loss_seg': loss, f'{name}.acc_seg': accuracy}
        if self.lovasz_weight:
            lovasz = lovasz_softmax(full, labels, self.lovasz_images)
            losses[f'{name}.loss_lovasz'] = self.lovasz_weight * lovasz
        return losses

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """mmseg's call of :meth:`supervise`, with the truth in the samples' ``gt_sem_seg``."""
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        return self.supervise(inputs, labels.long()).losses

    def encode_decode(self, inputs: Tensor, batch_img_metas: Sequence[dict] = ()) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, C, H, W), up-scaled bilinearly."""
        return upscale(self.infer(inputs).logits, inputs.shape[2:], self.align_corners)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, C, H, W), with ``test_cfg.direct`` (B, C, h, w) at the head's stride.

        With ``test_cfg.class_weight`` probabilities times these.
        """
        if self.test_cfg.get('direct'):
            logits = at_least_float32(self.infer(inputs).logits)
        else:
            logits = super().inference(inputs, batch_img_metas)
        if self.test_class_weight is None:
            return logits
        return logits.softmax(dim=1) * self.test_class_weight.view(-1, 1, 1)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Images (B, 3, H, W) -> mean logits (B, C, H, W) of the windows of ``test_cfg``."""
        return sliding_window_logits(
            self.encode_decode,
            inputs,
            crop_size=self.test_cfg.crop_size,
            stride=self.test_cfg.stride,
            at_once=None if self.test_cfg.get('batched_slide') else 1,
        )


def _check_test_cfg(test_cfg: ConfigDict) -> None:
    if test_cfg.get('mode') not in ('whole', 'slide'):
        raise UserError(f"test_cfg.mode is {test_cfg.get('mode')!r}, it must be 'whole' or 'slide'")
    if test_cfg.mode == 'slide' and test_cfg.get('direct'):
        raise UserError("test_cfg.direct is for mode 'whole': windows are summed at full size")
    missing = {'crop_size', 'stride'} - test_cfg.keys()
    if test_cfg.mode == 'slide' and missing:
        raise UserError(f"test_cfg.mode 'slide' needs {' and '.join(sorted(missing))} (h, w)")
