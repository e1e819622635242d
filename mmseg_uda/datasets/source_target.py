"""Training samples: a labelled source image and an unlabelled target image at a stream position."""

import os
from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info
from mmengine.registry import FUNCTIONS
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler, default_collate

from mmseg_uda.datasets.class_balanced_sampling import ClassBalancedSampling
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.rare_class_sampling import RareClassSampling
from mmseg_uda.datasets.segmentation import build_dataset, sample_info
from mmseg_uda.datasets.statistics import VALUES, label_warnings, read_class_stats
from mmseg_uda.datasets.transforms import LoadAnnotations
from mmseg_uda.errors import UserError
from mmseg_uda.random import counter_random

_SOURCE, _TARGET = 0, 1  # random streams of a position
MOST_READ = 50  # labels that are read to warn of missing classes


@DATASETS.register_module()
class SourceTargetDataset(Dataset):
    """Pairs of a source and a target sample.

    The sample at a position is drawn, augmentation and all, from (seed, position) alone; the
    target's draws do not depend on the source's. So loader workers, ranks and a resume change
    nothing.

    Args:
        source: config of a labelled dataset whose pipeline ends in ``PackDomain``.
        target: the same for the target; its labels are loaded only if its ``data_prefix`` has a
            ``seg_map_path``. None: no target.
        rare_class_sampling: arguments of :class:`RareClassSampling`, ``data_root`` being the
            source's by default.
        class_balanced_sampling: the same for :class:`ClassBalancedSampling`. With neither, source
            images are drawn uniformly, as target images always are.
        seed: first part of the key of all draws.
        source_depth: load the source's depth maps too, if it has a ``depth_dir``. Training uses the
            target's alone.

    Raises:
        UserError: data not found, see ``check_dataset`` and the samplings; both samplings at once;
            when a sample is loaded: a damaged file, or a label value that is no class.
    """

    def __init__(
        self,
        source: dict,
        target: dict | None = None,
        rare_class_sampling: dict | None = None,
        class_balanced_sampling: dict | None = None,
        seed: int = 0,
        source_depth: bool = False,
    ) -> None:
        if not source_depth:
            source = {key: value for key, value in source.items() if key != 'depth_dir'}
        self.source = build_dataset(source)
        if not self.source.data_prefix.get('seg_map_path'):
            raise UserError('the source data set has no labels: data_prefix has no seg_map_path')
        self.target = None if target is None else build_dataset(target)
        self.seed = seed
        self.metainfo = self.source.metainfo
        self.num_classes = len(self.metainfo['classes'])
        self.rare_class_sampling = None
        if rare_class_sampling is not None:
            arguments = {'data_root': self.source.data_root, **rare_class_sampling}
            self.rare_class_sampling = RareClassSampling(**arguments)
            self.rare_class_sampling.find_files([info['seg_map_path'] for info in self._infos()])
        self.class_balanced_sampling = None
        if class_balanced_sampling is not None:
            if rare_class_sampling is not None:
                raise UserError('rare_class_sampling and class_balanced_sampling: choose one')
            arguments = {'data_root': self.source.data_root, **class_balanced_sampling}
            self.class_balanced_sampling = ClassBalancedSampling(**arguments)
            self.class_balanced_sampling.find_files(
                self._infos(), self.num_classes, self.source.label_map
            )

    def _infos(self) -> list[dict]:
        return [self.source.get_data_info(index) for index in range(len(self.source))]

    def __len__(self) -> int:
        """Number of pairs. Positions may lie beyond it."""
        return len(self.source) * (1 if self.target is None else len(self.target))

    def __getitem__(self, position: int) -> dict:
        """``{'source': ..., 'target': ..., 'position': position}``, samples as ``PackDomain``'s.

        ``target`` is there if the dataset has one.
        """
        sample = {}
        with counter_random(self.seed, position, _SOURCE):
            sample['source'] = self._draw_source(position)
        if self.target is not None:
            with counter_random(self.seed, position, _TARGET):
                index = np.random.randint(len(self.target))
                sample['target'] = self._load(self.target, index)
        sample['position'] = position
        return sample

    def _draw_source(self, position: int) -> dict:
        if self.class_balanced_sampling is not None:
            index = self.class_balanced_sampling.draw(self.seed, position)
            return self._load(self.source, index)
        if self.rare_class_sampling is None:
            return self._load(self.source, np.random.randint(len(self.source)))
        train_id, index = self.rare_class_sampling.draw()
        rare_class = (train_id, self.rare_class_sampling.min_crop_pixels)
        return self._load(self.source, index, rare_class=rare_class)

    def _load(self, dataset: BaseSegDataset, index: int, **wishes) -> dict:
        """Run the pipeline on one sample; ``wishes`` are further entries for it."""
        info = sample_info(dataset, index)
        sample = dataset.pipeline({**info, **wishes})
        if 'label' in sample:
            label = sample['label'].numpy()
            bad = label[(label >= self.num_classes) & (label != IGNORE)]
            if bad.size:
                raise UserError(
                    f'{info["seg_map_path"]}: label value {bad[0]} is neither one of the '
                    f'{self.num_classes} classes nor {IGNORE} (ignore): convert the labels, or '
                    'mend the list of classes'
                )
        return sample

    def source_warnings(self) -> list[str]:
        """What looks wrong with the source labels, see :func:`label_warnings`.

        By the statistics file beside the data, if it has all labels; otherwise by up to 50 labels
        at equal distances in the data set.
        """
        infos = self._infos()
        mapped = self.source.label_map is not None or self.source.reduce_zero_label
        stats = None if mapped else read_class_stats(self.source.data_root or '')
        paths = [info['seg_map_path'] for info in infos]
        if stats is not None and all(os.path.basename(path) in stats for path in paths):
            counts = {path: stats[os.path.basename(path)] for path in paths}
            labels = f'the {len(paths)} source labels'
        else:
            load, counts = LoadAnnotations(), {}
            step = -(-len(infos) // MOST_READ)
            for info in infos[::step]:
                label = load(info)['gt_seg_map']
                values, numbers = np.unique(label, return_counts=True)
                counts[info['seg_map_path']] = dict(
                    zip(values.tolist(), numbers.tolist(), strict=True)
                )
            labels = f'the {len(counts)} source labels that were looked at (of {len(paths)})'
        pixels = [sum(count.get(value, 0) for count in counts.values()) for value in range(VALUES)]
        empty = [path for path, count in counts.items() if not count.keys() - {IGNORE}]
        return list(label_warnings(pixels, self.metainfo['classes'], labels, empty))


@DATA_SAMPLERS.register_module()
class PositionSampler(Sampler):
    """Endless positions in the sample stream: each global batch is a run of consecutive positions.

    Rank r of R with batches of b gets i·R·b + r·b + j for i = 0, 1, ... and j < b, so that R ranks
    with batch b see what one rank with batch R·b sees.

    Args:
        dataset: for its length, which is the sampler's.
        batch_size: of a rank; must be the data loader's.
        seed: not used, positions are the same for every seed; mmengine gives it to every sampler.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int | None = None) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        number = self.start
        while True:
            batch, offset = divmod(number, self.batch_size)
            yield (batch * self.world_size + self.rank) * self.batch_size + offset
            number += 1

    def __len__(self) -> int:
        return len(self.dataset)

    def skip(self, num_samples: int) -> None:
        """Start after the first ``num_samples`` positions of this rank, for a resume."""
        self.start = num_samples


@FUNCTIONS.register_module()
def collate_domains(samples: list[dict]) -> dict:
    """Stack samples to a batch: tensors get a first axis B, paths become lists.

    ``{'source': {'image': (B, 3, H, W), 'label': (B, H, W), 'path': [...]}, 'target': {...},
    'position': int64 (B,)}``; ``valid``, ``depth`` and ``day`` likewise.
    """
    return default_collate(samples)
