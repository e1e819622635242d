"""Rare-class sampling: draw a class, rare ones more often, then a source image that has it.

Hoyer et al., DAFormer (CVPR 2022): P(c) = softmax_c((1 - f_c) / T), where f_c is the share of class
c among all labelled pixels; then a file with enough pixels of c, uniformly.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_uda.datasets.statistics import CLASS_STATS, SAMPLES_WITH_CLASS
from mmseg_uda.errors import UserError


def class_probabilities(
    stats: Sequence[Mapping], temperature: float
) -> tuple[list[int], np.ndarray]:
    """Probability of each class that occurs.

    Args:
        stats: one mapping per file, ``{"<class>": pixels, ..., "file": path}``.
        temperature: T; infinite gives equal probabilities.

    Returns:
        The classes from the rarest to the most frequent, and their probabilities, (C,) float64.
    """
    pixels: dict[int, int] = {}
    for sample in stats:
        for key, count in sample.items():
            if key != 'file':
                pixels[int(key)] = pixels.get(int(key), 0) + count
    pixels = dict(sorted(pixels.items(), key=lambda item: item[1]))
    counts = np.array(list(pixels.values()), np.float64)
    score = (1 - counts / counts.sum()) / temperature
    weight = np.exp(score - score.max())
    return list(pixels), weight / weight.sum()


def files_by_class(
    samples_with_class: Mapping[str, Sequence], min_pixels: int
) -> dict[int, list[str]]:
    """Class -> base names of the label files with more than ``min_pixels`` pixels of it.

    Args:
        samples_with_class: ``{"<class>": [[path, pixels], ...]}``.
    """
    return {
        int(train_id): [os.path.basename(path) for path, pixels in samples if pixels > min_pixels]
        for train_id, samples in samples_with_class.items()
    }


class RareClassSampling:
    """Draws a class and an image that has it, from the statistics of a labelled data set.

    Args:
        data_root: folder of the statistics files, which conversion writes.
        class_temp: temperature T of the softmax.
        min_pixels: an image is drawn for a class if its label file has more pixels of the class.
        min_crop_ratio: a crop is accepted with more than ``min_pixels * min_crop_ratio`` pixels of
            the class, counted after resizing.

    Raises:
        UserError: a statistics file is missing or damaged, or a class has no file with more than
            ``min_pixels`` pixels.
    """

    def __init__(
        self,
        data_root: str,
        class_temp: float = 0.01,
        min_pixels: int = 3000,
        min_crop_ratio: float = 0.5,
    ) -> None:
        stats_file, self.samples_file = (
            Path(data_root, name) for name in (CLASS_STATS, SAMPLES_WITH_CLASS)
        )
        stats = _read_json(stats_file)
        if not any(key != 'file' for sample in stats for key in sample):
            raise UserError(f'{stats_file}: no labelled pixels; are the labels converted?')
        self.classes, self.probabilities = class_probabilities(stats, class_temp)
        self.files = files_by_class(_read_json(self.samples_file), min_pixels)
        self.min_crop_pixels = min_pixels * min_crop_ratio
        for train_id in self.classes:
            if not self.files.get(train_id):
                raise UserError(
                    f'{self.samples_file}: no file has more than {min_pixels} pixels of class '
                    f'{train_id}: lower min_pixels of rare_class_sampling'
                )

    def find_files(self, label_paths: Sequence[str]) -> None:
        """Look up the files of the statistics in the data set.

        Args:
            label_paths: label files of the data set, in its order.

        Raises:
            UserError: a file of the statistics is not among them, or two have the same name.
        """
        index = {os.path.basename(path): number for number, path in enumerate(label_paths)}
        if len(index) < len(label_paths):
            twice = next(
                path
                for number, path in enumerate(label_paths)
                if index[os.path.basename(path)] != number
            )
            raise UserError(
                f'{twice}: another label file has the same name; rare-class sampling needs '
                'different names'
            )
        self._indices = {}
        for train_id, names in self.files.items():
            unknown = next((name for name in names if name not in index), None)
            if unknown is not None:
                raise UserError(
                    f'{self.samples_file} lists {unknown}, which is not among the {len(index)} '
                    'label files of the source data set: convert its labels again'
                )
            self._indices[train_id] = np.array([index[name] for name in names])

    def draw(self, seed: int, position: int) -> tuple[int, dict[str, Any]]:
        """Draw a class, then a file that has it, from NumPy's global generator.

        Returns:
            Index of the image, and ``rare_class`` = (class, pixels of it that a crop needs), see
            ``LabelFirstCrop``.
        """
        train_id = int(np.random.choice(self.classes, p=self.probabilities))
        indices = self._indices[train_id]
        index = int(indices[np.random.randint(len(indices))])
        return index, {'rare_class': (train_id, self.min_crop_pixels)}


def _read_json(path: Path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f'{path}: not found; make it with mmseg-uda convert <data set> {path.parent}'
        ) from error
    except ValueError as error:
        raise UserError(
            f'{path}: damaged ({error}); remove it and run mmseg-uda convert <data set> '
            f'{path.parent} again'
        ) from error
