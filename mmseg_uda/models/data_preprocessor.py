"""Data preprocessor: copies the loader's uint8 batch to the device and normalises it there."""

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch, UDABatch


@MODELS.register_module()
class UDADataPreProcessor(SegDataPreProcessor):
    """Normalises on the device; turns a training batch into a :class:`UDABatch`.

    A training batch is what ``collate_domains`` gives (RGB uint8, see ``mmseg_uda.datasets``); for
    evaluation it behaves as mmseg's ``SegDataPreProcessor`` (lists of BGR images, data samples).

    Args:
        mean, std: of the channels in 0..255, in the network's order. Default: ImageNet's, RGB.
        to_bgr: the network takes BGR instead of RGB, as Caffe's do.
        channels_last: store training images in NHWC memory format, which is faster on GPUs.
    """

    def __init__(
        self,
        mean: tuple[float, ...] = (123.675, 116.28, 103.53),
        std: tuple[float, ...] = (58.395, 57.12, 57.375),
        to_bgr: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__(mean=mean, std=std, bgr_to_rgb=not to_bgr)
        self.to_bgr = to_bgr
        self.channels_last = channels_last

    def forward(self, data: dict, training: bool = False) -> UDABatch | dict:
        if 'source' not in data:
            return super().forward(data, training)
        return UDABatch(
            **{
                name: DomainBatch.of_samples(data[name], self._normalised, self._to_device)
                for name in ('source', 'target')
                if name in data
            }
        )

    def _normalised(self, images: Tensor) -> Tensor:
        images = self._to_device(images)
        if self.to_bgr:
            images = images.flip(1)
        images = (images.float() - self.mean) / self.std
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)
