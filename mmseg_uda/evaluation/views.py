"""Test-time augmentation: class probabilities averaged over several views of an image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_uda.datasets.segmentation import pipeline_without
from mmseg_uda.models.losses import upscale


@dataclass(frozen=True)
class Views:
    """The views in which every image is tested.

    Attributes:
        scales: factors of the size.
        flip: use each scale mirrored, too.
        resized: what the factors resize. ``input``: the network's input, bilinearly, as SDCA's
            reference code does. ``file``: the image that is read, by the test pipeline's own
            ``Resize``, as mmseg 0.x does.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    resized: Literal['input', 'file'] = 'input'

    def pipeline(
        self, pipeline: list[dict[str, Any]], labels: bool, size_divisor: int = 1
    ) -> list[dict[str, Any]]:
        """Change a test pipeline so that it makes the views of the file, if there are such.

        Args:
            labels: keep loading labels; they are not resized.
            size_divisor: the sides of a view of the file are rounded up to multiples of it.
        """
        if self.resized == 'input':
            return pipeline
        resize = next((step for step in pipeline if step['type'] == 'Resize'), None)
        sizes = [_resize(resize, scale) for scale in self.scales]
        fit = [[dict(type='ResizeToMultiple', size_divisor=size_divisor)]] * (size_divisor > 1)
        mirrored = (0.0, 1.0) if self.flip else (0.0,)
        flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in mirrored]
        load = [step for step in pipeline if step['type'] == 'LoadImageFromFile']
        unused = [] if labels else ['LoadAnnotations']
        rest = pipeline_without(pipeline, 'LoadImageFromFile', 'Resize', *unused)
        transforms = [sizes, *fit, flips, *([step] for step in rest)]
        return [*load, dict(type='TestTimeAug', transforms=transforms)]


#: The image as the test pipeline loads it.
ONE_VIEW = Views()

#: Test-time augmentation of mmseg 0.x.
FILE_VIEWS = Views((0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True, resized='file')


def predict_views(segmentor: BaseSegmentor, batch: dict, views: Views) -> list[SegDataSample]:
    """Predict the images of a batch by the mean of the class probabilities over their views.

    Args:
        batch: as loaded by :meth:`Views.pipeline`.

    Returns:
        The samples with ``pred_sem_seg`` (1, H, W), at the original size of the images.
    """
    if views.resized == 'file':
        samples = list(batch['data_samples'][0])
        scores = file_scores(segmentor, batch)
    else:
        data = segmentor.data_preprocessor(batch, False)
        samples = data['data_samples']
        sizes = [sample.ori_shape for sample in samples]
        scores = input_scores(segmentor, data['inputs'], sizes, views)
    for sample, mean in zip(samples, mean_probabilities(segmentor, scores), strict=True):
        sample.pred_sem_seg = PixelData(data=mean.argmax(dim=0, keepdim=True))
    return samples


def mean_probabilities(segmentor: BaseSegmentor, views: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Class probabilities (C, H, W) of each image, averaged over views.

    Args:
        views: for each view the scores (C, H, W) of all images: logits, or (weighted)
            probabilities where the segmentor predicts these.
    """
    totals: list[Tensor] = []
    number = 0
    for scores in views:
        if not segmentor.predicts_probabilities:
            scores = [score.softmax(dim=0) for score in scores]
        totals = [a + b for a, b in zip(totals, scores, strict=True)] if totals else list(scores)
        number += 1
    return [total / number for total in totals]


def input_scores(
    segmentor: BaseSegmentor,
    images: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    views: Views,
) -> Iterator[list[Tensor]]:
    """Scores (C, *size) of all images in each view of the network's input.

    Args:
        images: (3, h, w) each, normalised.
        sizes: (height, width) of the scores of each image.
    """
    for scale in views.scales:
        for mirrored in (False, True)[: 1 + views.flip]:
            yield [
                _scores(segmentor, image[None], size, scale, mirrored)[0]
                for image, size in zip(images, sizes, strict=True)
            ]


def file_scores(segmentor: BaseSegmentor, batch: dict[str, list[Any]]) -> Iterator[list[Tensor]]:
    """Scores (C, H, W) of all images, at original size, in each view of ``TestTimeAug``."""
    for inputs, samples in zip(batch['inputs'], batch['data_samples'], strict=True):
        tested = segmentor.test_step(dict(inputs=list(inputs), data_samples=list(samples)))
        yield [sample.seg_logits.data for sample in tested]


def _scores(
    segmentor: BaseSegmentor,
    images: Tensor,
    size: tuple[int, int],
    scale: float,
    mirrored: bool,
) -> Tensor:
    """Scores (B, C, *size) of images (B, 3, H, W) in one view, mirrored back."""
    shape = [round(side * scale) for side in images.shape[2:]]
    view = upscale(images, shape, segmentor.align_corners)
    metas = [dict(ori_shape=size)] * len(images)
    scores = segmentor.inference(view.flip(3) if mirrored else view, metas)
    scores = upscale(scores, size, segmentor.align_corners)
    return scores.flip(3) if mirrored else scores


def _resize(step: dict[str, Any] | None, scale: float) -> dict[str, Any]:
    """The ``Resize`` of a test pipeline, or none, at a further scale."""
    if step is None:
        return dict(type='Resize', scale_factor=scale, keep_ratio=True)
    return dict(step, scale=tuple(int(side * scale) for side in step['scale']))
