"""Metrics, reports and exporters of predictions."""

from mmseg_uda.evaluation.metrics import SegmentationMetric, confusion_matrix
from mmseg_uda.evaluation.scores import Scores, scores

__all__ = ['Scores', 'SegmentationMetric', 'confusion_matrix', 'scores']
