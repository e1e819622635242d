"""The segmentation network that adaptation methods train."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.models.forward_pass import MAIN, ForwardPass, Supervision, View
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss, upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.models.pretrained import load_pretrained_backbone
from mmseg_uda.models.sliding_window import sliding_window_logits


@MODELS.register_module()
class Segmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the forward passes that adaptation methods use.

    Which one to call on images (B, 3, H, W):

    - :meth:`supervise` to train with labels or pseudo-labels: returns losses and logits;
    - :meth:`train_pass` to train on predictions without labels (entropy, adversarial losses): the
      same logits as in :meth:`supervise`;
    - :meth:`whole_pass` to train on features and the logits computed from them;
    - :meth:`infer` to predict, e.g. pseudo-labels: logits (B, C, h, w) at the head's stride;
    - :meth:`encode_decode` to predict at full size: the logits of :meth:`infer`, resized to
      (B, C, H, W).

    In this class ``train_pass``, ``whole_pass`` and ``infer`` compute the same. They differ in
    networks that use an image at several scales, see
    :class:`~mmseg_uda.models.hrda.HRDASegmentor`. None of them changes the train/eval mode or
    disables gradients. :meth:`features`, :meth:`decode` and :meth:`project` run only the backbone,
    the head and the projection head.

    Args:
        pretrained: path of the backbone's ImageNet weights (see
            :func:`mmseg_uda.models.pretrained.load_pretrained_backbone`), loaded by
            ``init_weights``; ``None`` trains from scratch.
        test_cfg: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))``,
            in pixels. Optional keys:
            ``direct=True``: resize whole-image logits once, from the head's stride to the size of
            the labels, instead of to the size of the input first;
            ``batched_slide=True``: run all windows of an image in one forward pass;
            ``class_weight``: multiply class probabilities by these weights before the arg-max
            (SePiCo's night-time evaluation);
            ``probabilities=True``: predict class probabilities instead of logits, so that
            probabilities are what is resized and added over views (CaCo).
        class_weight: factors of the cross entropy by label, see
            :func:`mmseg_uda.models.class_weights.class_weights`.
        average: pixels over which the cross entropy is averaged, 'all' or 'valid', see
            :func:`mmseg_uda.models.losses.segmentation_loss`.
        lovasz_weight: weight of the Lovász-softmax loss, see
            :func:`mmseg_uda.models.losses.lovasz_softmax`; 0 switches it off.
        lovasz_images: number of images whose pixels form one set of that loss; ``None``: all
            images of the process.
        temperature: divisor of the logits in the training losses, and only there.
        kwargs: arguments of mmseg's ``EncoderDecoder`` (backbone, decode_head, neck,
            auxiliary_head, ...). The head's ``align_corners`` applies wherever logits are resized.

    Raises:
        UserError: invalid ``test_cfg``, unknown ``average``, or ``lovasz_images`` below 1.
    """

    size_divisor = 1
    """The height and width of images must be multiples of it, in pixels."""

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
                f'segmentor.lovasz_images is {lovasz_images!r}, it must be an integer from 1 up'
            )
        with no_loss_warning():
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
        """Initialise all weights, then load the backbone's pretrained weights, if any."""
        super().init_weights()
        if self.pretrained is not None:
            load_pretrained_backbone(self.backbone, self.pretrained)

    def problems(self, num_classes: int) -> Iterator[str]:
        """Describe what does not fit data with ``num_classes`` classes, one message each."""
        for name, head in self.heads().items():
            for module in head if isinstance(head, nn.ModuleList) else [head]:
                if (count := getattr(module, 'num_classes', num_classes)) != num_classes:
                    yield (
                        f'num_classes of model.segmentor.{name} is {count}, but the data set has '
                        f'{num_classes} classes'
                    )
        for name in ('class_weight', 'test_class_weight'):
            weight = getattr(self, name)
            if weight is not None and len(weight) != num_classes:
                yield (
                    f'model.segmentor: {name} has {len(weight)} numbers, but the data set has '
                    f'{num_classes} classes'
                )

    def size_problems(
        self,
        images: str,
        size: Sequence[int] | None,
        advice: str = 'crop or resize them in the pipeline',
    ) -> Iterator[str]:
        """Describe a size of images whose sides are not multiples of ``size_divisor``.

        Args:
            images: their name in the sentence.
            size: (height, width) in pixels; ``None``: there are no such images.
            advice: what to do.
        """
        if size is not None and any(side % self.size_divisor for side in size):
            fitting = [math.ceil(side / self.size_divisor) * self.size_divisor for side in size]
            yield (
                f'{images} have {size[0]} x {size[1]} pixels, but both sides must be multiples of '
                f'{self.size_divisor} for model.segmentor: {advice}, e.g. to '
                f'{fitting[0]} x {fitting[1]}'
            )

    def test_size_problems(self, images: str, size: Sequence[int]) -> Iterator[str]:
        """As :meth:`size_problems`, for images that are predicted according to ``test_cfg``."""
        if self.test_cfg.mode == 'whole':
            yield from self.size_problems(images, size)
            return
        window = [min(sides) for sides in zip(size, self.test_cfg.crop_size, strict=True)]
        advice = 'set model.segmentor.test_cfg.crop_size, or resize the images'
        yield from self.size_problems(f'windows of {images}', window, advice)

    def heads(self) -> dict[str, nn.Module]:
        """The heads by their names in the config."""
        heads = dict(decode_head=self.decode_head)
        if self.with_auxiliary_head:
            heads['auxiliary_head'] = self.auxiliary_head
        return heads

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the classifiers, as in ``levels`` of a forward pass."""
        return (MAIN,)

    @property
    def feature_channels(self) -> int:
        """Number of channels of the last feature map."""
        channels = self.decode_head.in_channels
        return channels if isinstance(channels, int) else channels[-1]

    def features(self, images: Tensor) -> list[Tensor]:
        """Run the backbone (and neck): images (B, 3, H, W) -> maps (B, D_i, h_i, w_i)."""
        return list(self.extract_feat(images))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Run the head: features (B, D_i, h_i, w_i) -> logits (B, C, h, w) at its stride."""
        return self.decode_head(features)

    def project(self, features: list[Tensor]) -> list[Tensor]:
        """Run the projection head: features (B, D_i, h_i, w_i) -> embeddings (B, A, h_i, w_i)."""
        return self.auxiliary_head(features)

    def whole_pass(self, images: Tensor) -> ForwardPass:
        """Run backbone and head once, on the whole images (B, 3, H, W).

        The logits (B, C, h, w) depend on ``features`` alone and are computed on first use.
        """
        features = self.features(images)
        return ForwardPass([View(features)], partial(self.decode, features))

    def train_pass(self, images: Tensor) -> ForwardPass:
        """Predict images (B, 3, H, W) as :meth:`supervise` does, but without labels."""
        return self.whole_pass(images)

    def infer(self, images: Tensor) -> ForwardPass:
        """Predict images (B, 3, H, W) as in evaluation; logits (B, C, h, w)."""
        return self.whole_pass(images)

    def supervise(
        self, images: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> Supervision:
        """Predict images and compute the losses by labels.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, H, W) int64 train ids, 255 = ignore.
            weight: (B, H, W), factor of each pixel's cross entropy; ``None``: 1.

        Returns:
            Logits, views and the entries of :meth:`label_losses` with the prefix 'decode'.
        """
        output = self.whole_pass(images)
        losses = self.label_losses('decode', output.logits, labels, weight)
        return Supervision(losses, output.logits, output.views)

    def label_losses(
        self, name: str, logits: Tensor, labels: Tensor, weight: Tensor | None
    ) -> dict[str, Tensor]:
        """Compute the losses and the accuracy of predictions.

        Args:
            name: prefix of the returned names.
            logits: (B, C, h, w), resized to (H, W).
            labels, weight: (B, H, W), see :meth:`supervise`.

        Returns:
            0-dimensional tensors: the cross entropy 'NAME.loss_seg', the accuracy 'NAME.acc_seg' in
            percent, and with a ``lovasz_weight`` 'NAME.loss_lovasz', already multiplied by it.
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
        """mmseg's interface of :meth:`supervise`: images (B, 3, H, W), labels in the samples."""
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        return self.supervise(inputs, labels.long()).losses

    def encode_decode(self, inputs: Tensor, batch_img_metas: Sequence[dict] = ()) -> Tensor:
        """Predict images (B, 3, H, W) as :meth:`infer` does; logits (B, C, H, W) at full size."""
        return upscale(self.infer(inputs).logits, inputs.shape[2:], self.align_corners)

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict images (B, 3, H, W) according to ``test_cfg``; called by mmseg's ``predict``.

        Returns:
            Logits (B, C, H, W); with ``direct`` (B, C, h, w) at the head's stride. With
            ``probabilities`` or ``class_weight`` class probabilities, the latter times these
            weights, instead of logits.
        """
        if self.test_cfg.get('direct'):
            logits = at_least_float32(self.infer(inputs).logits)
        else:
            logits = super().inference(inputs, batch_img_metas)
        if not self.predicts_probabilities:
            return logits
        probabilities = logits.softmax(dim=1)
        if self.test_class_weight is None:
            return probabilities
        return probabilities * self.test_class_weight.view(-1, 1, 1)

    @property
    def predicts_probabilities(self) -> bool:
        """Whether :meth:`inference` returns (weighted) class probabilities instead of logits."""
        return self.test_class_weight is not None or bool(self.test_cfg.get('probabilities'))

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict images (B, 3, H, W) window by window; mean logits (B, C, H, W)."""
        return sliding_window_logits(
            self.encode_decode,
            inputs,
            crop_size=self.test_cfg.crop_size,
            stride=self.test_cfg.stride,
            at_once=None if self.test_cfg.get('batched_slide') else 1,
        )


@contextmanager
def no_loss_warning() -> Iterator[None]:
    """Silence the warning of mmseg's heads about a loss that they build and that is not used."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')
        yield


def _check_test_cfg(test_cfg: ConfigDict) -> None:
    if test_cfg.get('mode') not in ('whole', 'slide'):
        raise UserError(f"test_cfg.mode is {test_cfg.get('mode')!r}, it must be 'whole' or 'slide'")
    if test_cfg.mode == 'slide' and test_cfg.get('direct'):
        raise UserError("test_cfg.direct needs mode 'whole': windows are averaged at full size")
    missing = {'crop_size', 'stride'} - test_cfg.keys()
    if test_cfg.mode == 'slide' and missing:
        raise UserError(f"test_cfg.mode 'slide' needs {' and '.join(sorted(missing))} (h, w)")
