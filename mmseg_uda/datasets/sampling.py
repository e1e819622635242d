"""How the image of a stream position is drawn from a data set: uniformly, or by its classes.

The sampling of a target by its predicted classes is in ``importance_sampling.py``.
"""

from collections.abc import Mapping, Sized
from typing import Any, Protocol

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmseg_uda.datasets.class_balanced_sampling import ClassBalancedSampling
from mmseg_uda.datasets.rare_class_sampling import RareClassSampling
from mmseg_uda.errors import UserError


class Sampling(Protocol):
    """Draws images of one data set."""

    def draw(self, seed: int, position: int) -> tuple[int, dict[str, Any]]:
        """Index of the image at a position, and further entries for the pipeline.

        NumPy's global generator is seeded for the position when this is called.
        """


class UniformSampling:
    """Draws every image with equal probability.

    Args:
        dataset: for its number of images.
    """

    def __init__(self, dataset: Sized) -> None:
        self.length = len(dataset)

    def draw(self, seed: int, position: int) -> tuple[int, dict[str, Any]]:
        """Index of the image, and no further entries. See :class:`Sampling`."""
        return np.random.randint(self.length), {}


def source_sampling(
    dataset: BaseSegDataset,
    rare_class: Mapping[str, Any] | None = None,
    class_balanced: Mapping[str, Any] | None = None,
) -> Sampling:
    """Build the sampling of a source data set; without options it is uniform.

    Args:
        rare_class: arguments of :class:`RareClassSampling`; ``data_root`` defaults to the data
            set's.
        class_balanced: likewise of :class:`ClassBalancedSampling`.

    Raises:
        UserError: the data set has no labels; both are given; the statistics of the data set are
            missing or do not fit it.
    """
    if not dataset.data_prefix.get('seg_map_path'):
        raise UserError('the source data set has no labels: data_prefix has no seg_map_path')
    if rare_class is not None and class_balanced is not None:
        raise UserError('rare_class_sampling and class_balanced_sampling: choose one')
    if rare_class is None and class_balanced is None:
        return UniformSampling(dataset)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if rare_class is not None:
        sampling = RareClassSampling(**{'data_root': dataset.data_root, **rare_class})
        sampling.find_files([info['seg_map_path'] for info in infos])
        return sampling
    sampling = ClassBalancedSampling(**{'data_root': dataset.data_root, **class_balanced})
    sampling.find_files(infos, len(dataset.metainfo['classes']), dataset.label_map)
    return sampling
