"""Metrics of semantic segmentation, counted on the device and summed over images and ranks."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.report import save_report, score_table
from mmseg_uda.evaluation.scores import Scores, scores


def confusion_matrix(pred: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Count pixels by (true class, predicted class), on the tensors' device.

    Args:
        pred: integers of any shape, classes 0..C-1.
        label: integers of the same shape, 0..255; values above C-1 (255 = ignore) are not counted.

    Returns:
        (C, C) int64; row = true class, column = predicted class.
    """
    return _count(pred, label, num_classes)[:num_classes, :num_classes]


def _count(pred: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Count pixels by (label, predicted class): (256, C + 1) int64.

    The last column counts predictions that are no class. One pass over all pixels is several times
    as fast as selecting the valid ones first.
    """
    columns = num_classes + 1
    pairs = label.int() * columns + pred.clamp(max=num_classes).int()
    return pairs.flatten().bincount(minlength=LABEL_VALUES * columns).view(LABEL_VALUES, columns)


@METRICS.register_module()
class SegmentationMetric(BaseMetric):
    """Mean IoU over all classes and over named subsets of them.

    Nothing is stored per image: one table of pixel counts is kept on the device of the predictions
    and summed over ranks once, at the end. Images that a sampler repeats so that all ranks get the
    same number (mmengine's ``DefaultSampler``) are counted once.

    ``evaluate`` returns unrounded percentages: mIoU, the subsets, mAcc, aAcc and ``IoU.<class>``. A
    score that does not exist is NaN, so that no earlier value remains in its place.

    Args:
        subsets: name -> train ids of subsets whose mean IoU is reported too, such as the 16 and 13
            classes on which adaptation from SYNTHIA is compared.
        out_dir: folder for ``scores.json`` and ``scores.csv``; None writes no files.

    Attributes:
        scores: the :class:`Scores` of the last evaluation.
        meta: further entries of the JSON file.
    """

    default_prefix = ''  # metrics are named mIoU, not prefix/mIoU

    def __init__(
        self, subsets: Mapping[str, Sequence[int]] | None = None, out_dir: str | None = None
    ) -> None:
        super().__init__()
        self.subsets = dict(subsets or {})
        self.out_dir = out_dir
        self.meta: dict = {}
        self.scores: Scores | None = None
        self._reset()

    @property
    def mean_names(self) -> list[str]:
        """Names of the means that ``evaluate`` returns."""
        return ['mIoU', *self.subsets, 'mAcc', 'aAcc']

    def _reset(self) -> None:
        self._images = 0
        self._total: Tensor | None = None
        self._latest: Tensor | None = None  # counts of the latest image, not yet in the total

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Add a batch of samples with ``pred_sem_seg`` and ``gt_sem_seg``, (1, H, W) each.

        Raises:
            UserError: a sample has no ground truth, or ground truth of another size.
        """
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data']
            if 'gt_sem_seg' not in sample:
                raise UserError(
                    f'{sample.get("img_path")}: has no label to evaluate against; '
                    'load labels in the test pipeline, or export predictions instead'
                )
            label = sample['gt_sem_seg']['data'].to(pred.device, non_blocking=True)
            if label.shape != pred.shape:
                raise UserError(
                    f'{sample.get("seg_map_path")}: the label has {tuple(label.shape[-2:])} '
                    f'pixels, its image {tuple(pred.shape[-2:])}'
                )
            if self._latest is not None:
                self._total = self._latest if self._total is None else self._total + self._latest
            self._latest = _count(pred, label, len(self.dataset_meta['classes']))
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """Compute the scores of the samples added since the last call.

        Args:
            size: number of images in the data set.

        Raises:
            UserError: there are no labelled pixels, labels are not train ids, or predictions are
                no class of the data set.
        """
        rank, world_size = get_dist_info()
        if self._images and (self._images - 1) * world_size + rank >= size:
            self._latest, self._images = None, self._images - 1  # a repeated image
        num_classes = len(self.dataset_meta['classes'])
        parts = [part for part in (self._total, self._latest) if part is not None]
        counts = (
            sum(parts) if parts else torch.zeros(LABEL_VALUES, num_classes + 1, dtype=torch.int64)
        )
        counts = torch.cat([counts.flatten(), counts.new_tensor([self._images])])
        all_reduce(counts)
        self._reset()
        return self.compute_metrics(counts.tolist())

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """Compute scores, print the table and write the files.

        Args:
            results: the (256, C + 1) counts of all ranks, flat, then the number of images.
        """
        classes = self.dataset_meta['classes']
        counts, images = np.reshape(results[:-1], (LABEL_VALUES, -1)), results[-1]
        if unknown := counts[:, len(classes)].sum():
            raise UserError(
                f'{unknown} pixels are predicted as class {len(classes)} or above, but the '
                f'evaluated data set has {len(classes)} classes (0..{len(classes) - 1}): '
                "num_classes of the network's head must be that of the data set"
            )
        counts = counts[:, :-1]
        if strays := [i for i in range(len(classes), IGNORE) if counts[i].any()]:
            raise UserError(
                f'the labels contain {strays}, neither a class (0..{len(classes) - 1}) nor '
                f'{IGNORE} (ignore): are they train ids? mmseg-uda convert makes them'
            )
        if not counts[: len(classes)].any():
            raise UserError(f'no labelled pixel in the {images} evaluated images')
        self.scores = scores(counts[: len(classes)], self.subsets)
        if is_main_process():
            print_log('\n' + score_table(self.scores, classes, images), logger='current')
            if self.out_dir is not None:
                save_report(self.out_dir, self.scores, classes, {**self.meta, 'images': images})
        fractions = {name: mean.iou for name, mean in self.scores.means().items()}
        fractions |= {'mAcc': self.scores.macc, 'aAcc': self.scores.aacc}
        fractions |= {
            f'IoU.{name}': float(iou) for name, iou in zip(classes, self.scores.iou, strict=True)
        }
        return {name: 100 * value for name, value in fractions.items()}
