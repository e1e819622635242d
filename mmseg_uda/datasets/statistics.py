"""Class statistics of a labelled data set: pixels of each class in each label file.

They are three JSON files beside the data, in the format of DAFormer, HRDA, MIC and SePiCo.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mmseg_uda.datasets.labels import CLASSES, IGNORE, LABEL_VALUES
from mmseg_uda.files import save_json

CLASS_STATS = 'sample_class_stats.json'
CLASS_STATS_BY_FILE = 'sample_class_stats_dict.json'
SAMPLES_WITH_CLASS = 'samples_with_class.json'

MOST_IGNORED = 0.9  # share of ignored pixels above which labels look wrong


def count_classes(label: np.ndarray) -> list[int]:
    """Count the pixels of each of the 19 classes in train ids (uint8, any shape)."""
    return np.bincount(label.ravel(), minlength=LABEL_VALUES)[: len(CLASSES)].tolist()


def label_warnings(
    pixels: Sequence[int], classes: Sequence[str], labels: str, empty: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence for everything that looks wrong in labels.

    Args:
        pixels: number of pixels of each label value, 256 numbers.
        classes: names of the classes.
        labels: name of the counted labels in the sentences, e.g. 'the 8 labels in data/sim'.
        empty: label files without a labelled pixel.
    """
    missing = [index for index in range(len(classes)) if not pixels[index]]
    if missing == list(range(1, len(classes))) and missing:
        yield (
            f'class 0 ({classes[0]}) is the only one in {labels}: where masks hold 0 and 255, the '
            'foreground is ignored, because 255 means ignore; give each class its train id'
        )
    elif missing and len(missing) < len(classes):
        names = ', '.join(f'{index} ({classes[index]})' for index in missing)
        yield f'no pixel of these classes is in {labels}: {names}'
    if empty:
        yield f'{len(empty)} of {labels} have no labelled pixel (all {IGNORE}), first {empty[0]}'
    share = pixels[IGNORE] / max(sum(pixels), 1)
    if share > MOST_IGNORED:
        yield f'{share:.1%} of the pixels in {labels} are {IGNORE}, which means ignore'


def read_class_stats(folder: str | Path) -> dict[str, dict[int, int]] | None:
    """Read base name of the label file -> pixels of each class; None without a readable file.

    Args:
        folder: of the files of :func:`write_statistics`.
    """
    try:
        samples = json.loads((Path(folder) / CLASS_STATS).read_text())
        return {
            os.path.basename(sample.pop('file')): {int(key): n for key, n in sample.items()}
            for sample in samples
        }
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def write_statistics(folder: str | Path, samples: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Write the three statistics files into ``folder``.

    ``sample_class_stats.json`` is a list of ``{"<class>": pixels, ..., "file": path}``,
    ``sample_class_stats_dict.json`` maps path to ``{"<class>": pixels}`` and
    ``samples_with_class.json`` maps class to ``[[path, pixels], ...]``. Classes without pixels are
    left out.

    Args:
        samples: (path of the label file, pixels of each class), in the order of the files.
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
