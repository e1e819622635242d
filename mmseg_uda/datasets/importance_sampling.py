"""Importance sampling of target images by the classes that a network predicts in them.

Araslanov and Roth, Self-supervised Augmentation Consistency for Adapting Semantic Segmentation
(CVPR 2021): classes are taken in turn; for class c, an image n of N is drawn with probability
share / N + (1 - share) * w[n, c], where w[n, c] is its share of all pixels predicted as c.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmseg_uda.errors import UserError
from mmseg_uda.tensor_files import read_tensors

FORMAT = 'mmseg-uda importance weights'

_IMAGE, _LABEL = '_leftImg8bit.png', '_gtFine_labelIds.png'  # endings of Cityscapes' file names
_TOLERANCE = 1e-3  # of the sum of a class's shares


def importance_weights(counts: np.ndarray) -> np.ndarray:
    """Share of each image in all pixels of each class; 0 for classes without pixels.

    Args:
        counts: (N, C) pixels of each class in the prediction for each image.

    Returns:
        (N, C) float64; columns of classes that occur sum to 1.
    """
    totals = counts.sum(0)
    return np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)


def cumulative_probabilities(
    weights: np.ndarray, uniform_share: float, uniform_classes: Sequence[int] = ()
) -> np.ndarray:
    """Running sums over images of the probability of each image, for each class.

    Args:
        weights: (N, C) shares, see :func:`importance_weights`. Images are equally probable for a
            class whose shares are all 0.
        uniform_share: part of the probability that all images share equally.
        uniform_classes: train ids for which all images are equally probable.

    Returns:
        (C, N) float64.
    """
    weights = np.array(weights, np.float64)
    uniform = weights.sum(0) == 0
    uniform[list(uniform_classes)] = True
    weights[:, uniform] = 1 / len(weights)
    return (uniform_share / len(weights) + (1 - uniform_share) * weights).T.cumsum(1)


class ImportanceSampling:
    """Draws a target image for class ``position mod C``, C being the number of classes.

    Args:
        dataset: the target.
        weights: file with the shares of its images, made by ``mmseg-uda importance-weights``, or a
            published ``.data`` file. None: all images are equally probable.
        uniform_share: see :func:`cumulative_probabilities`.
        uniform_classes: likewise, e.g. classes that are not evaluated.

    Raises:
        UserError: a bad option; the file is missing, damaged, or of other images or classes; the
            shares of a class do not sum to 1; two images have the same file name.
    """

    def __init__(
        self,
        dataset: BaseSegDataset,
        weights: str | None = None,
        uniform_share: float = 0.25,
        uniform_classes: Sequence[int] = (),
    ) -> None:
        classes = list(dataset.metainfo['classes'])
        _check_options(uniform_share, uniform_classes, len(classes))
        if weights is None:  # as for classes that never occur
            table = np.zeros((len(dataset), len(classes)))
        else:
            infos = (dataset.get_data_info(index) for index in range(len(dataset)))
            table = _table(weights, [os.path.basename(info['img_path']) for info in infos], classes)
        self.cumulative = cumulative_probabilities(table, uniform_share, uniform_classes)

    def draw(self, seed: int, position: int) -> tuple[int, dict[str, Any]]:
        """Index of the image, and no further entries. See :class:`Sampling`."""
        return self.index(position, np.random.random()), {}

    def index(self, position: int, uniform: float) -> int:
        """The image at a position, for a number drawn from U[0, 1)."""
        sums = self.cumulative[position % len(self.cumulative)]
        return int(sums.searchsorted(uniform * sums[-1], side='left'))


def _check_options(share: float, uniform_classes: Sequence[int], number: int) -> None:
    if not 0 <= share <= 1:
        raise UserError(f'target_sampling: uniform_share is {share!r}, it must be from 0 to 1')
    bad = [c for c in uniform_classes if type(c) is not int or not 0 <= c < number]
    if bad:
        raise UserError(
            f'target_sampling: uniform_classes has {bad[0]!r}, the {number} train ids are 0 to '
            f'{number - 1}'
        )


def _table(path: str, images: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Shares (N, C) of the images in the order of the data set.

    Args:
        images: file names without folder.

    Raises:
        UserError: see :class:`ImportanceSampling`.
    """
    if path.endswith('.json'):
        by_name, names = _read_json(path, classes), list(images)
    else:
        by_name, names = _read_published(path), [_published_name(image) for image in images]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise UserError(
            f'target_sampling: two target images have the file name {twice}; importance sampling '
            'needs different names'
        )
    if by_name.keys() != set(names):
        missing, unknown = set(names) - by_name.keys(), by_name.keys() - set(names)
        example = f'{min(missing)} is missing' if missing else f'{min(unknown)} is no target image'
        raise UserError(
            f'{path} has weights of {len(by_name)} images, not of the {len(names)} target images '
            f'({example}): compute them for this list of images'
        )
    table = np.zeros((len(names), len(classes)))
    for row, name in enumerate(names):
        for train_id, share in _entries(path, name, by_name[name], len(classes)):
            table[row, train_id] = share
    _check_sums(path, table, classes)
    return table


def _check_sums(path: str, table: np.ndarray, classes: Sequence[str]) -> None:
    sums = table.sum(0)
    bad = np.flatnonzero((sums != 0) & ~(np.abs(sums - 1) < _TOLERANCE))
    if bad.size:
        raise UserError(
            f'{path}: the shares of class {bad[0]} ({classes[bad[0]]}) sum to {sums[bad[0]]:.6g}, '
            'not to 1: compute the weights again'
        )


def _entries(
    path: str, name: str, shares: Mapping[Any, Any], number: int
) -> list[tuple[int, float]]:
    """The checked pairs (train id, share) of an image."""
    try:
        entries = [(int(train_id), float(share)) for train_id, share in shares.items()]
    except (AttributeError, TypeError, ValueError) as error:
        raise _damaged(path, f'{name}: {error}') from error
    for train_id, share in entries:
        if not 0 <= train_id < number:
            raise UserError(
                f'{path}: {name} has a weight for class {train_id}, but the target data set has '
                f'{number} classes: compute the weights with the same classes'
            )
        if not (share >= 0 and math.isfinite(share)):
            raise _damaged(path, f'{name}: the share of class {train_id} is {share}')
    return entries


def _read_json(path: str, classes: Sequence[str]) -> dict[str, Mapping]:
    try:
        content = json.loads(Path(path).read_text())
        if content.get('format') != FORMAT:
            raise ValueError(f'its format is not "{FORMAT}"')
        names, weights = list(content['classes']), dict(content['weights'])
    except OSError as error:
        raise UserError(
            f'{path} cannot be read ({error.strerror}); make it with mmseg-uda importance-weights'
        ) from error
    except KeyError as error:
        raise _damaged(path, f'it has no {error}') from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    if names != list(classes):
        unlike = [pair for pair in zip(names, classes, strict=False) if len({*pair}) > 1]
        example = ' ("{}" in place of "{}")'.format(*unlike[0]) if unlike else ''
        raise UserError(
            f'{path} has weights of {len(names)} classes, the target data set has '
            f'{len(classes)}{example}: compute the weights with the same classes'
        )
    return weights


def _read_published(path: str) -> dict[str, Mapping]:
    content = read_tensors(path, 'make it with mmseg-uda importance-weights, or download it again')
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise _damaged(path, 'it is not a mapping of file names to weights')
    return content


def _published_name(image: str) -> str:
    """Name that published weights have for an image: that of its Cityscapes label."""
    return image.removesuffix(_IMAGE) + _LABEL if image.endswith(_IMAGE) else image


def _damaged(path: str, reason: str) -> UserError:
    return UserError(
        f'{path} is not a file of importance weights ({reason}); make it with '
        'mmseg-uda importance-weights'
    )
