"""Class-balanced sampling: draw a class that was rarely seen recently, then an image that has it.

The stream of images is cut into sub-epochs of 3000. Within each, class c has the weight
1 / ln(1.01 + p_c), where p_c is the share of c among the classes of the images drawn so far (SDCA,
after FADA).
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
_STREAM = 2  # random stream of a sub-epoch; those of samples are in datasets/domain.py


def balanced_order(
    files: Sequence[np.ndarray],
    presence: np.ndarray,
    length: int,
    rng: np.random.Generator | np.random.RandomState,
    sub_epoch: int = SUB_EPOCH,
) -> np.ndarray:
    """Indices of ``length`` images, ordered as in the published list.

    The images of a class are taken in the order given. After the last one they are shuffled and
    taken from the second one on, as published.

    Args:
        files: indices of the images that have each class; a class without images is never drawn.
        presence: (N, C) bool, whether image n has class c.
        length: number of draws.
        rng: random generator of NumPy, new or legacy.
        sub_epoch: number of images after which the shares are reset.

    Returns:
        int64 (length,).
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
    """Draws images by the statistics of a labelled data set.

    Each sub-epoch of positions has a :func:`balanced_order` of its own, in which the images of
    every class are shuffled first and the result is shuffled again. The published list is shuffled
    as a whole; here the image of a position is known without the positions before its sub-epoch.

    Args:
        data_root: folder of the statistics files, which conversion writes.
        label_info: a published ``*_label_info.p`` to use instead of them.
        sub_epoch: see :func:`balanced_order`.

    Raises:
        UserError: a file is missing, damaged or of another kind.
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
        """Look up the files of the statistics in the data set.

        Args:
            samples: ``img_path`` and ``seg_map_path`` of all samples, in the data set's order.
            num_classes: C.
            label_map: train id in the statistics -> class of the data set; classes outside 0..C-1
                are left out. A published ``label_info`` holds the data set's classes already.

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
    """Read class -> image files from a published ``*_label_info.p``, without running its code.

    Such a file is a pickled pair: a list of file names per class, and a mapping of file name to
    classes.

    Raises:
        UserError: the file is missing or damaged, or holds more than lists, mappings and plain
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
        raise pickle.UnpicklingError(f'it refers to {module}.{name}')


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
