"""Intersection over union and accuracy from a confusion matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Mean(NamedTuple):
    """Means over a set of classes.

    Attributes:
        iou, acc: means of the classes that have an IoU, an accuracy.
        known: number of classes that have an IoU.
        classes: number of classes in the set.
    """

    iou: float
    acc: float
    known: int
    classes: int


@dataclass(frozen=True)
class Scores:
    """Scores as fractions in [0, 1], float64.

    A class without ground truth and predictions has no IoU, a class without ground truth has no
    accuracy. These are NaN and left out of the means (protocol of Cityscapes and mmseg).

    Attributes:
        iou: (C,) intersection / union of each class.
        acc: (C,) correct pixels / ground-truth pixels of each class.
        confusion: (C, C) int64 pixels by (true class, predicted class).
        aacc: correct pixels / all labelled pixels.
        subsets: name -> train ids of a set of classes with a mean of its own.
    """

    iou: np.ndarray
    acc: np.ndarray
    confusion: np.ndarray
    aacc: float
    subsets: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def pixels(self) -> np.ndarray:
        """(C,) int64 ground-truth pixels of each class."""
        return self.confusion.sum(1)

    @property
    def miou(self) -> float:
        """Mean IoU over all classes."""
        return _known_mean(self.iou)

    @property
    def macc(self) -> float:
        """Mean accuracy over all classes."""
        return _known_mean(self.acc)

    def means(self) -> dict[str, Mean]:
        """Means over all classes ('mIoU') and over each named subset."""
        sets = {'mIoU': range(len(self.iou)), **self.subsets}
        return {name: self._mean(list(ids)) for name, ids in sets.items()}

    def _mean(self, ids: list[int]) -> Mean:
        iou, acc = self.iou[ids], self.acc[ids]
        return Mean(_known_mean(iou), _known_mean(acc), int((~np.isnan(iou)).sum()), len(ids))


def scores(confusion: ArrayLike, subsets: Mapping[str, Sequence[int]] | None = None) -> Scores:
    """Compute scores from a confusion matrix.

    Args:
        confusion: (C, C) pixels on the host; row = true class, column = predicted class.
        subsets: see :class:`Scores`.
    """
    confusion = np.asarray(confusion)
    hits, truth, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid='ignore'):  # 0 / 0 is the NaN of an absent class
        return Scores(
            iou=hits / (truth + predicted - hits),
            acc=hits / truth,
            confusion=confusion.astype(np.int64),
            aacc=float(hits.sum() / truth.sum()),
            subsets=dict(subsets or {}),
        )


def _known_mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')
