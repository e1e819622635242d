"""Class-balanced sampling: draw a class that was seldom seen of late, then an image that has it.

Within each run of 3000 images every class c gets the weight 1 / ln(1.01 + p_c), p_c being the share
of class c among the classes of the images drawn so far (SDCA, after FADA).
"""

import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_uda.datasets.statistics import SAMPLES_WITH_CLASS
from mmseg_uda.errors import UserError
from mmseg_uda.random import generator

SUB_EPOCH = 3000
_STREAM = 2  # of a sub-epoch; samples have the streams of SourceTargetDataset


def balanced_order(
    files: Sequence[np.ndarray],
    presence: np.ndarray,
    length: int,
    rng: np.random.Generator | np.random.RandomState,
    sub_epoch: int = SUB_EPOCH,
) -> np.ndarray:
    """Indices of ``length`` images in the order of the published list.

    The images of a class are walked through in the order given; at their end they are shuffled, and
    the walk begins anew at the second one, as published.

    Args:
        files: images that have each class; a class without images is never drawn.
        presence: (N, C) bool, whether image n has class c.
        rng: of NumPy, new or legacy.
        sub_epoch: after so many images the shares are counted anew.
    """
    queues = [np.array(indices) for indices in files]
    drawable = np.array([len(queue) > 0 for queue in queues])
    pointers = [0] * len(queues)
    order = np.empty(length, np.int64)
    for number in range(length):
        if number % sub_epoch == 0:
            seen = np.zeros(len(queues))
        share = seen / max(seen.sum(), 1)
        odds = (drawable / np.log(1.01 + share)).cumsum()
        train_id = int((odds / odds[-1]).searchsorted(rng.random(), side='right'))
        queue = queues[train_id]
        if pointers[train_id] == len(queue):
            rng.shuffle(queue)
            pointers[train_id] = min(1, len(queue) - 1)
        order[number] = queue[pointers[train_id]]
        pointers[train_id] += 1
        seen += presence[order[number]]
    return order


class ClassBalancedSampling:
    """Draws images from the statistics of a labelled data set.

    The stream of positions is cut into sub-epochs. The images of each are those of a
    :func:`balanced_order` of its own, with the images of every class shuffled first, in random
    order: like the published list, which is shuffled as a whole, but any position's image is found
    without those before it.

    Args:
        data_root: folder of the statistics that conversion wrote.
        label_info: instead of these, a published ``*_label_info.p``.
        sub_epoch: see :func:`balanced_order`.

    Raises:
        UserError: a file is missing, damaged or not what it should be.
    """

    def __init__(
        self, data_root: str, label_info: str | None = None, sub_epoch: int = SUB_EPOCH
    ) -> None:
        self.origin = Path(label_info or Path(data_root, SAMPLES_WITH_CLASS))
        self.sub_epoch = sub_epoch
        self._names = read_label_info(self.origin) if label_info else _read_json(self.origin)
        self._published = label_info is not None

    def find_files(
        self,
        samples: Sequence[dict],
        num_classes: int,
        label_map: dict[int, int] | None = None,
    ) -> None:
        """Tell the sampling the data set's samples (``img_path``, ``seg_map_path``), in order.

        Args:
            label_map: train id in the statistics -> the data set's own; others than 0..C-1 are left
                out. A published file has the data set's own ids.

        Raises:
            UserError: the statistics name a file that is not among the samples, or two samples have
            the same file name.
        """
        key = 'img_path' if self._published else 'seg_map_path'
        index = {os.path.basename(sample[key]): n for n, sample in enumerate(samples)}
        if len(index) < len(samples):
            raise UserError(
                'class-balanced sampling needs files with different names; two of the source data '
                f'set share one ({len(samples)} files, {len(index)} names)'
            )
        label_map = None if self._published else label_map
        self.presence = np.zeros((len(samples), num_classes), bool)
        for train_id, names in self._names.items():
            column = train_id if label_map is None else label_map.get(train_id, num_classes)
            if column >= num_classes:
                continue
            for name in names:
                if name not in index:
                    raise UserError(
                        f'{self.origin} lists {name}, which is not among the {len(index)} files of '
                        'the source data set: convert its labels again'
                    )
                self.presence[index[name], column] = True
        if not self.presence.any():
            raise UserError(f'{self.origin}: no labelled pixels; are the labels converted?')
        self._files = [np.flatnonzero(column) for column in self.presence.T]
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def draw(self, seed: int, position: int) -> tuple[int, dict[str, Any]]:
        """Index of the image at a position, and no further entries for the pipeline."""
        number, place = divmod(position, self.sub_epoch)
        if self._order is None or self._order[0] != (seed, number):
            rng = generator(seed, number, _STREAM)
            files = [rng.permutation(indices) for indices in self._files]
            order = balanced_order(files, self.presence, self.sub_epoch, rng, self.sub_epoch)
            self._order = (seed, number), rng.permutation(order)
        return int(self._order[1][place]), {}


def read_label_info(path: str | Path) -> dict[int, list[str]]:
    """Image files by class from a published ``*_label_info.p``; never runs code of the file.

    Such a file is the pickled pair of a list of file names per class and a mapping of file name to
    classes.

    Raises:
        UserError: the file is missing or damaged, or holds anything but lists, mappings and plain
            values.
    """
    try:
        with open(path, 'rb') as file:
            by_class, _ = _PlainUnpickler(file).load()
        return {train_id: [str(name) for name in names] for train_id, names in enumerate(by_class)}
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from error
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f'{path}: not the label statistics of SDCA or FADA ({error})') from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


def _read_json(path: Path) -> dict[int, list[str]]:
    try:
        content = json.loads(path.read_text())
        return {
            int(train_id): [os.path.basename(name) for name, _ in samples]
            for train_id, samples in content.items()
        }
    except FileNotFoundError as error:
        raise UserError(
            f'{path}: not found; make it with mmseg-uda convert <data set> {path.parent}'
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path}: damaged ({error}); remove it and run mmseg-uda convert <data set> '
            f'{path.parent} again'
        ) from error
