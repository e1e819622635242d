"""Class statistics of a labelled data set: how many pixels of each class each label file has.

Three JSON files beside the data, in the format that DAFormer, HRDA, MIC and SePiCo use.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mmseg_uda.datasets.labels import CLASSES
from mmseg_uda.files import save_json

CLASS_STATS = 'sample_class_stats.json'
CLASS_STATS_BY_FILE = 'sample_class_stats_dict.json'
SAMPLES_WITH_CLASS = 'samples_with_class.json'


def count_classes(label: np.ndarray) -> list[int]:
    """Pixels of each of the 19 classes in a map of train ids (uint8, any shape)."""
    return np.bincount(label.ravel(), minlength=256)[: len(CLASSES)].tolist()


def write_statistics(folder: str | Path, samples: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Write the three statistics files into ``folder``.

    Args:
        samples: (path of the label file, pixels of each class), in the order of the files.

    ``sample_class_stats.json`` is a list of ``{"<class>": pixels, ..., "file": path}``,
    ``sample_class_stats_dict.json`` maps path to ``{"<class>": pixels}`` and
    ``samples_with_class.json`` maps class to ``[[path, pixels], ...]``; classes without pixels are
    left out.
    """
    by_file: dict[str, dict[str, int]] = {}
    by_class: dict[str, list[tuple[str, int]]] = {}
    for path, counts in samples:
        present = {str(train_id): count for train_id, count in enumerate(counts) if count}
        by_file[path] = present
        for train_id, count in present.items():
            by_class.setdefault(train_id, []).append((path, count))
    folder = Path(folder)
    stats = [{**present, 'file': path} for path, present in by_file.items()]
    save_json(folder / CLASS_STATS, stats)
    save_json(folder / CLASS_STATS_BY_FILE, by_file)
    save_json(folder / SAMPLES_WITH_CLASS, by_class)
