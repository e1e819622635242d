"""Pseudo-labels of a whole data set, for pixels whose confidence reaches their class's threshold.

Threshold of class c: the median confidence of all pixels predicted as c, at most 0.9 (SDCA, after
Zou et al., ECCV 2018). Each image is predicted once; its logits stay on disk until all labels are
written, so an interrupted call resumes after the last predicted image.
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.models import BaseSegmentor
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from mmseg_uda.datasets.image_files import forkable_opencv
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write, load_record, save_record, sha256
from mmseg_uda.preparation.target_images import loader_of, target_loader
from mmseg_uda.tensor_files import read_tensors

LABELS, THRESHOLDS = 'soft_labels', 'thres_const.npy'
_RECORD = 'pseudo_labels.json'
_LOGITS = 'logits'
_DROPPED_BITS = 6  # of a float32's 23 fraction bits; leaves a relative precision of 2^-17


def generate_pseudo_labels(
    config: str,
    checkpoint: str,
    folder: str,
    cfg_options: dict[str, Any] | None = None,
    quantile: float = 0.5,
    cap: float = 0.9,
) -> None:
    """Predict pseudo-labels of a config's target images, resized as its test images.

    Writes to ``folder``: ``soft_labels/<image path>.png``, palette PNGs of the image's size with
    train ids, 255 where the confidence is below the threshold; and the thresholds
    ``thres_const.npy``, float32 (C,). Target labels are not needed.

    Args:
        config: file of the model's config; ``train_dataloader.dataset.target`` names the images.
        checkpoint: file with the student's weights.
        folder: where the files are written.
        cfg_options: changes of the config, dotted key -> value.
        quantile, cap: see :meth:`ConfidenceHistogram.thresholds`.

    Raises:
        UserError: bad config, checkpoint or images, or ``folder`` holds labels of another call.
    """
    from mmengine.device import get_device

    from mmseg_uda.engine.config import load_config
    from mmseg_uda.evaluation.export import BackgroundWriter, write_label
    from mmseg_uda.evaluation.inference import build_segmentor

    loaded = load_config(config, cfg_options)
    segmentor = build_segmentor(loaded, checkpoint, device=get_device())
    loader, names = target_loader(loaded, segmentor.num_classes)
    out = Path(folder)
    settings = dict(
        checkpoint=sha256(checkpoint),
        pipeline=loaded.test_dataloader.dataset.pipeline,
        images=names,
        quantile=quantile,
        cap=cap,
    )
    _claim(out, settings)
    labels = [(out / LABELS / name).with_suffix('.png') for name in names]
    if (out / THRESHOLDS).is_file() and all(path.is_file() for path in labels):
        return

    caches = [(out / _LOGITS / name).with_suffix('.pth') for name in names]
    _cache_logits(segmentor, loader, caches)
    thresholds = _thresholds(segmentor, loader, caches, quantile, cap)
    with atomic_write(out / THRESHOLDS) as file:
        np.save(file, thresholds.cpu().numpy())

    palette = full_palette(loader.dataset.metainfo['palette'])
    with BackgroundWriter() as writer:
        cached = _cached(segmentor, loader, caches, 'labels')
        for path, (logits, sizes) in zip(labels, cached, strict=True):
            if not path.is_file():
                sure = confidence(logits, sizes['label'], segmentor.align_corners)
                label = select(*sure, thresholds)[0].byte().cpu().numpy()
                writer.submit(write_label, path, label, palette)
    for path in caches:
        path.unlink()


class ConfidenceHistogram:
    """Histogram of the pixel confidences of each predicted class, in constant memory.

    Args:
        num_classes: number of classes C.
        device: device of the counts, int64 (C, 2^17 ceil(log2 C) + 1).
    """

    def __init__(self, num_classes: int, device: torch.device | str = 'cpu') -> None:
        # The largest of C probabilities is in [1 / C, 1]: octaves = powers of two in this range.
        octaves = max(1, math.ceil(math.log2(num_classes)))
        self.lowest = int(_key(torch.tensor(2.0**-octaves)))
        bins = int(_key(torch.tensor(1.0))) - self.lowest + 1
        self.counts = torch.zeros(num_classes, bins, dtype=torch.int64, device=device)

    def add(self, probability: Tensor, label: Tensor) -> None:
        """Count pixels: confidences, float32, and predicted classes, int64, of the same shape."""
        bins = self.counts.shape[1]
        key = (_key(probability) - self.lowest).clamp(0, bins - 1)
        index = (label * bins + key).flatten()
        self.counts.view(-1).scatter_add_(0, index, torch.ones_like(index))

    def thresholds(self, quantile: float, cap: float) -> Tensor:
        """Return the threshold of each class, float32 (C,); 0 for a class never predicted.

        With the n confidences v of a class in ascending order, it is min(v[round(quantile · n)],
        cap). Halves are rounded to the even number. v is rounded down to the edge of its bin, so
        the pixel that sets the threshold reaches it.
        """
        total = self.counts.sum(1)
        rank = (quantile * total.double()).round().long().minimum((total - 1).clamp(min=0))
        place = (self.counts.cumsum(1) <= rank[:, None]).sum(1)
        edge = ((place + self.lowest) << _DROPPED_BITS).int().view(torch.float32)
        return torch.where(total > 0, edge.clamp(max=cap), 0.0)


def confidence(logits: Tensor, size: tuple[int, int], align_corners: bool) -> tuple[Tensor, Tensor]:
    """Resize logits (B, C, h, w); return largest probability and its class, both (B, *size)."""
    logits = F.interpolate(logits.float(), size, mode='bilinear', align_corners=align_corners)
    return logits.softmax(1).max(1)


def select(probability: Tensor, label: Tensor, thresholds: Tensor) -> Tensor:
    """Set labels to 255 where the probability is below the threshold of the label's class.

    ``probability`` and ``label`` have the same shape; ``thresholds`` is (C,).
    """
    return torch.where(probability < thresholds[label], IGNORE, label)


def full_palette(palette: list[list[int]]) -> np.ndarray:
    """Return a palette (256, 3) uint8 RGB: the colours of the classes, else black."""
    full = np.zeros((256, 3), np.uint8)
    full[: len(palette)] = palette
    return full


def _key(probability: Tensor) -> Tensor:
    """Bin of each probability: the bits of positive floats have the order of the floats."""
    return probability.view(torch.int32).long() >> _DROPPED_BITS


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Record the settings in the folder; refuse a folder with other settings."""
    from mmseg_uda.settings import plain

    path, settings = folder / _RECORD, plain(settings)
    old = load_record(path, 'the record of pseudo-labels', f'delete {folder}', list(settings))
    if old is None:
        save_record(path, settings)
    elif changed := [key for key, value in settings.items() if old[key] != value]:
        raise UserError(
            f'{folder} holds pseudo-labels made with other settings ({", ".join(changed)}): choose '
            'another folder or delete this one'
        )


def _thresholds(
    segmentor: BaseSegmentor, loader: Any, caches: list[Path], quantile: float, cap: float
) -> Tensor:
    """Return the threshold of each class, float32 (C,), from the cached logits."""
    histogram = ConfidenceHistogram(segmentor.num_classes, next(segmentor.parameters()).device)
    for logits, sizes in _cached(segmentor, loader, caches, 'thresholds'):
        histogram.add(*confidence(logits, sizes['input'], segmentor.align_corners))
    return histogram.thresholds(quantile, cap)


@torch.no_grad()
def _cache_logits(segmentor: BaseSegmentor, loader: Any, caches: list[Path]) -> None:
    """Predict the images whose file in ``caches`` is missing, and write these files."""
    missing = [index for index, path in enumerate(caches) if not path.is_file()]
    rest = loader_of(loader, missing)
    bar = tqdm(zip(missing, rest, strict=True), 'predictions', len(caches), unit='img')
    bar.update(len(caches) - len(missing))
    with forkable_opencv():
        for index, batch in bar:
            data = segmentor.data_preprocessor(batch, False)
            images, sample = data['inputs'], data['data_samples'][0]
            content = dict(
                logits=segmentor.infer(images).logits.cpu(),
                input=tuple(images.shape[2:]),
                label=tuple(sample.ori_shape[:2]),
            )
            with atomic_write(caches[index]) as file:
                torch.save(content, file)


def _cached(
    segmentor: BaseSegmentor, loader: Any, caches: list[Path], what: str
) -> Iterator[tuple[Tensor, dict[str, tuple[int, int]]]]:
    """Yield logits (1, C, h, w) and sizes of each image; damaged files are predicted again."""
    device = next(segmentor.parameters()).device
    for path in tqdm(caches, what, unit='img'):
        try:
            content = read_tensors(path, 'predicting this image again')
        except UserError as error:
            print_log(str(error), logger='current', level=logging.WARNING)
            path.unlink(missing_ok=True)
            _cache_logits(segmentor, loader, caches)
            content = read_tensors(path, 'run the same command again')
        yield content.pop('logits').to(device), content
