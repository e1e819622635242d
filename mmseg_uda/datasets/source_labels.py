"""What is wrong with the labels of the source, before training."""

import os
from collections.abc import Iterator

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmseg_uda.datasets.domain import Domain
from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
from mmseg_uda.datasets.statistics import label_warnings, read_class_stats
from mmseg_uda.datasets.transforms import LoadAnnotations

MOST_READ = 50  # labels of a data set that are read


def source_warnings(source: Domain) -> Iterator[str]:
    """Yield a sentence for everything that looks wrong, see :func:`label_warnings`.

    The pixels of all data sets are counted together: from the statistics file of a data set if it
    lists every label, otherwise from up to 50 labels at equal distances in the data set.
    """
    counts: dict[str, dict[int, int]] = {}
    for dataset in source.datasets:
        counts |= _listed_pixels(dataset) or _read_pixels(dataset)
    pixels = [
        sum(count.get(value, 0) for count in counts.values()) for value in range(LABEL_VALUES)
    ]
    empty = [path for path, count in counts.items() if not count.keys() - {IGNORE}]
    labels = f'the {len(source)} source labels'
    if len(counts) < len(source):
        labels = f'the {len(counts)} source labels that were read (of {len(source)})'
    yield from label_warnings(pixels, source.metainfo['classes'], labels, empty)


def absent_classes(source: Domain) -> list[str]:
    """Names of the classes of which the source labels have no pixel.

    Empty where that is not known: if a data set has no statistics file that lists every label.
    """
    listed = [_listed_pixels(dataset) for dataset in source.datasets]
    if not all(listed):
        return []
    counts = [count for labels in listed for count in labels.values()]
    present = {value for count in counts for value, number in count.items() if number}
    classes = source.metainfo['classes']
    return [name for train_id, name in enumerate(classes) if train_id not in present]


def _listed_pixels(dataset: BaseSegDataset) -> dict[str, dict[int, int]] | None:
    """Pixels of each class by label file, from the statistics file; None if it does not fit."""
    if dataset.label_map is not None or dataset.reduce_zero_label:
        return None
    stats = read_class_stats(dataset.data_root or '') or {}
    paths = [dataset.get_data_info(index)['seg_map_path'] for index in range(len(dataset))]
    if not all(os.path.basename(path) in stats for path in paths):
        return None
    return {path: stats[os.path.basename(path)] for path in paths}


def _read_pixels(dataset: BaseSegDataset) -> dict[str, dict[int, int]]:
    """Pixels of each value by label file, of labels at equal distances in the data set."""
    load, counts = LoadAnnotations(), {}
    for index in range(0, len(dataset), -(-len(dataset) // MOST_READ)):
        info = dataset.get_data_info(index)
        label = load(info)['gt_seg_map']
        values, numbers = np.unique(label, return_counts=True)
        counts[info['seg_map_path']] = dict(zip(values.tolist(), numbers.tolist(), strict=True))
    return counts
