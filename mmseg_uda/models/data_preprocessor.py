"""Data preprocessor: copies uint8 batches to the device and normalises them there."""

from functools import partial

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch, UDABatch


@MODELS.register_module()
class UDADataPreProcessor(SegDataPreProcessor):
    """Converts collated training samples into a normalised :class:`UDABatch` on the device.

    Evaluation batches (lists of BGR images with data samples) are processed as by mmseg's
    ``SegDataPreProcessor``.

    Args:
        mean, std: of each channel, for pixel values in 0..255, in the network's channel order.
            Default: those of ImageNet for RGB.
        to_bgr: the network expects BGR instead of RGB images, as Caffe models do.
        channels_last: store training images in channels-last memory, which is faster on GPUs.
        source: ``mean`` and ``std`` of the source images, if they differ: with suitable values, the
            normalised source has the colour statistics of the normalised target. (Elsewhere, images
            of both domains are denormalised by ``mean`` and ``std``.)
    """

    def __init__(
        self,
        mean: tuple[float, ...] = (123.675, 116.28, 103.53),
        std: tuple[float, ...] = (58.395, 57.12, 57.375),
        to_bgr: bool = False,
        channels_last: bool = False,
        source: dict | None = None,
    ) -> None:
        super().__init__(mean=mean, std=std, bgr_to_rgb=not to_bgr)
        own = dict(mean=mean, std=std) | (source or {})
        for name, values in own.items():
            values = torch.tensor(values).view(-1, 1, 1)
            self.register_buffer(f'source_{name}', values, persistent=False)
        self.to_bgr = to_bgr
        self.channels_last = channels_last

    def forward(self, data: dict, training: bool = False) -> UDABatch | dict:
        """Normalise a batch.

        Args:
            data: for training the samples of 'source' and optionally 'target', as collated by
                ``collate_domains``: images (B, 3, H, W) uint8 RGB and other maps (B, H, W).
                In pixels with ``padding`` 1 the normalised image is 0.
                For evaluation 'inputs', a list of images (3, H, W) uint8 BGR, and 'data_samples'.
            training: used for evaluation batches only, see mmseg's ``SegDataPreProcessor``.

        Returns:
            A :class:`UDABatch`, or for evaluation a dict with 'inputs' (B, 3, H, W) float.
        """
        if 'source' not in data:
            return super().forward(data, training)
        statistics = {
            'source': (self.source_mean, self.source_std),
            'target': (self.mean, self.std),
        }
        domains = {name: data[name] for name in statistics if name in data}
        return UDABatch(**{n: self._domain(domains[n], *statistics[n]) for n in domains})

    def _domain(self, samples: dict, mean: Tensor, std: Tensor) -> DomainBatch:
        normalise = partial(self._normalise, mean=mean, std=std)
        batch = DomainBatch.of_samples(samples, normalise, self._to_device)
        if 'padding' in samples:
            padding = self._to_device(samples['padding']).bool()
            batch.images.masked_fill_(padding.unsqueeze(1), 0)
        return batch

    def _normalise(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        images = self._to_device(images)
        if self.to_bgr:
            images = images.flip(1)
        images = (images.float() - mean) / std
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)
