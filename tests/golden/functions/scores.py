"""Evaluation metrics."""

import numpy as np
import torch
from torch import Tensor

from mmseg_uda.datasets.labels import SYNTHIA_13, SYNTHIA_16
from mmseg_uda.evaluation.metrics import confusion_matrix
from mmseg_uda.evaluation.scores import scores
from tests.golden.registry import Params, Results, golden


def confusion(params: Params, inputs: Params) -> Tensor:
    """Counts (truth, prediction) over all images."""
    pairs = zip(inputs['predictions'], inputs['labels'], strict=True)
    return sum(
        confusion_matrix(*(torch.as_tensor(array) for array in pair), params['num_classes'])
        for pair in pairs
    )


@golden('segmentation_scores')
def segmentation_scores(params: Params, inputs: Params) -> Results:
    result = scores(confusion(params, inputs), {'mIoU16': SYNTHIA_16, 'mIoU13': SYNTHIA_13})
    means = {name: mean.iou for name, mean in result.means().items()}
    summary = {'aAcc': result.aacc, 'IoU': result.miou, 'Acc': result.macc}
    return {
        'iou': result.iou,
        'acc': result.acc,
        'aacc': result.aacc,
        'miou': result.miou,
        'macc': result.macc,
        'miou16': means['mIoU16'],
        'miou13': means['mIoU13'],
        'mIoU16_by_formula': result.miou * params['num_classes'] / len(SYNTHIA_16),
        'summary_percent': {name: round(100 * float(v), 2) for name, v in summary.items()},
    }


@golden('intersection_scores')
def intersection_scores(params: Params, inputs: Params) -> Results:
    """Classes absent everywhere have no IoU here; the published metric counts them as 0."""
    counts = confusion(params, inputs)
    result, counts = scores(counts), counts.double()
    hits, truth, iou = counts.diagonal(), counts.sum(1), np.nan_to_num(result.iou)
    return {
        'intersection': hits,
        'union': truth + counts.sum(0) - hits,
        'target': truth,
        'iou': iou,
        'miou': iou.mean(),
        'macc': np.nan_to_num(result.acc).mean(),
        'aacc': result.aacc,
    }


@golden('training_scores')
def training_scores(params: Params, inputs: Params) -> Results:
    """Classes without pixels have no score here; the published metric counts them as 0."""
    counts = confusion(params, inputs)
    iou = np.nan_to_num(scores(counts).iou)
    counts = counts.double()
    hits = counts.diagonal()
    wrong, missed = counts.sum(0) - hits, counts.sum(1) - hits
    evaluated = [c for c in range(params['num_classes']) if c not in params['ignored_classes']]
    return {
        'tp': hits,
        'fp': wrong,
        'fn': missed,
        'iou': iou,
        'precision': (hits / (hits + wrong)).nan_to_num(),
        'recall': (hits / (hits + missed)).nan_to_num(),
        'miou': iou[evaluated].mean(),
    }


@golden('confusion_matrix')
def confusion_and_iou(params: Params, inputs: Params) -> Results:
    counts = confusion(params, inputs)
    result = scores(counts)
    return {'matrix': counts, 'iou': result.iou, 'miou': result.miou}
