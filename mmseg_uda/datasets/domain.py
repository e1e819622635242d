"""The data sets of one domain, with weights, and the sample at each stream position."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.sampling import Sampling, UniformSampling
from mmseg_uda.datasets.segmentation import build_dataset, dataset_configs, sample_info
from mmseg_uda.errors import UserError
from mmseg_uda.random import counter_random, generator

# Random streams of a position; 2 is that of class-balanced sampling.
_SAMPLE = {'source': 0, 'target': 1}
_CHOICE = {'source': 3, 'target': 4}


class Domain:
    """The data sets of the source or the target domain.

    A position draws one data set by weight, then a sample of it. Both depend on (seed, position)
    alone, and the sample of a data set at a position does not depend on the other data sets.

    Args:
        name: ``source`` or ``target``.
        configs: config of one data set, or a list of them, whose pipelines end in ``PackDomain``.
            Each may have a ``depth_dir`` (see :func:`build_dataset`) and a ``weight``, a number
            above 0: a data set is drawn in proportion to its weight (default 1).
        sampling: makes the sampling of a data set; default: uniform.
        depth: load depth maps where a config has a ``depth_dir``.

    Attributes:
        configs: as given, always a list.
        datasets: the built data sets, in the same order.
        samplings: the sampling of each.
        metainfo: classes and palette, of the first data set.

    Raises:
        UserError: an empty list, a bad weight, data sets of different classes, or a data set that
            cannot be used (see :func:`check_dataset`).
    """

    def __init__(
        self,
        name: str,
        configs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        sampling: Callable[[BaseSegDataset], Sampling] = UniformSampling,
        depth: bool = True,
    ) -> None:
        self.name = name
        self.configs = dataset_configs(configs)
        if not self.configs:
            raise UserError(f'{name} is an empty list: give at least one data set')
        weights = [_weight(name, config) for config in self.configs]
        self.datasets = [build_dataset(config, depth) for config in self.configs]
        self.metainfo = self.datasets[0].metainfo
        for number, dataset in enumerate(self.datasets):
            self._check_classes(number, dataset)
        self.samplings = [sampling(dataset) for dataset in self.datasets]
        bounds = np.cumsum(weights)
        self._bounds = bounds / bounds[-1]

    def _check_classes(self, number: int, dataset: BaseSegDataset) -> None:
        classes, first = list(dataset.metainfo['classes']), list(self.metainfo['classes'])
        if classes != first:
            raise UserError(
                f'{self.name}.{number} has the classes {", ".join(classes)}; {self.name}.0 has '
                f'{", ".join(first)}: all data sets of a list need the same metainfo'
            )

    def __len__(self) -> int:
        """Number of images in all data sets."""
        return sum(map(len, self.datasets))

    def load(self, seed: int, position: int) -> dict:
        """Load the sample at a position, see ``PackDomain``.

        Raises:
            UserError: a damaged file, or a label value that is no class.
        """
        draw = generator(seed, position, _CHOICE[self.name]).random()
        return self._load_from(int(self._bounds.searchsorted(draw, side='right')), seed, position)

    def load_from_each(self, seed: int, position: int) -> list[dict]:
        """Load the sample that each data set has for a position."""
        return [self._load_from(number, seed, position) for number in range(len(self.datasets))]

    def _load_from(self, number: int, seed: int, position: int) -> dict:
        dataset = self.datasets[number]
        with counter_random(seed, position, _SAMPLE[self.name]):
            index, entries = self.samplings[number].draw(seed, position)
            return load_sample(dataset, index, **entries)


def load_sample(dataset: BaseSegDataset, index: int, **entries) -> dict:
    """Run a data set's pipeline on one image.

    Args:
        entries: further entries for the pipeline, such as ``rare_class``.

    Raises:
        UserError: a damaged file, or a label value that is no class.
    """
    info = sample_info(dataset, index)
    sample = dataset.pipeline({**info, **entries})
    if 'label' in sample:
        label, number = sample['label'].numpy(), len(dataset.metainfo['classes'])
        bad = label[(label >= number) & (label != IGNORE)]
        if bad.size:
            raise UserError(
                f'{info["seg_map_path"]}: label value {bad[0]} is neither one of the {number} '
                f'classes nor {IGNORE} (ignore): convert the labels, or correct the list of classes'
            )
    return sample


def _weight(name: str, config: Mapping[str, Any]) -> float:
    weight = config.get('weight', 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (number and 0 < weight < math.inf):
        raise UserError(
            f'{name}: the weight of the data set in {config.get("data_root")} is {weight!r}, it '
            'must be a number above 0'
        )
    return weight
