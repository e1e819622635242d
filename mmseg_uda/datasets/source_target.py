"""Training samples: labelled source and unlabelled target images at a position of the stream."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.registry import FUNCTIONS
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler, default_collate

from mmseg_uda.datasets.domain import Domain
from mmseg_uda.datasets.importance_sampling import ImportanceSampling
from mmseg_uda.datasets.sampling import source_sampling
from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.datasets.source_labels import source_warnings
from mmseg_uda.errors import UserError

_OF_ONE_DATA_SET = 'data_root', 'label_info', 'weights'  # options of samplings that name files


@DATASETS.register_module()
class SourceTargetDataset(Dataset):
    """Blocks of k source and m target samples; by default pairs of one each.

    Source and target are two streams of samples. The block at position p has the samples p * k + i
    of the source stream and p * m + j of the target stream. A sample, with its augmentation, is
    drawn from (seed, position in its stream) alone. So the number of loader workers and ranks, or a
    resume, changes nothing.

    Args:
        source: config of a labelled data set, or a list of configs with weights, see
            :class:`Domain`. All data sets of a list have the same classes and give samples of the
            same fields and sizes.
        target: likewise, None for no target; labels are loaded only where ``data_prefix`` has a
            ``seg_map_path``.
        rare_class_sampling: arguments of :class:`RareClassSampling` of the source. With a list,
            the data set is drawn by weight first, then a class by the statistics in the
            ``data_root`` of that data set.
        class_balanced_sampling: likewise of :class:`ClassBalancedSampling`. With neither, source
            images are drawn uniformly.
        target_sampling: arguments of :class:`ImportanceSampling` of the target; without it target
            images are drawn uniformly.
        seed: first part of the key of all random draws.
        source_depth: load depth maps of the source too, where it has a ``depth_dir``. Training
            uses only the target's.
        block: (k, m), number of source and of target samples at a position.

    Attributes:
        source: the :class:`Domain` of the source.
        target: that of the target, or None.
        block: as given.
        rare_class_sampling: as given.
        metainfo: classes and palette.

    Raises:
        UserError: see :class:`Domain` and the samplings; a source without labels; both samplings
            of the source at once; a ``block`` that is not two numbers above 0; on loading a sample:
            a damaged file, or a label value that is no class.
    """

    def __init__(
        self,
        source: dict | Sequence[dict],
        target: dict | Sequence[dict] | None = None,
        rare_class_sampling: dict | None = None,
        class_balanced_sampling: dict | None = None,
        seed: int = 0,
        source_depth: bool = False,
        target_sampling: dict | None = None,
        block: Sequence[int] = (1, 1),
    ) -> None:
        self.block = _checked_block(block)
        if len(dataset_configs(source)) > 1:
            _check_shared('source', rare_class_sampling, class_balanced_sampling)
        sampling = partial(
            source_sampling, rare_class=rare_class_sampling, class_balanced=class_balanced_sampling
        )
        self.source = Domain('source', source, sampling, source_depth)
        self.target = None if target is None else _target_domain(target, target_sampling)
        self.rare_class_sampling = rare_class_sampling
        self.seed = seed
        self.metainfo = self.source.metainfo
        self.num_classes = len(self.metainfo['classes'])

    @property
    def domains(self) -> list[Domain]:
        """The source and, if there is one, the target."""
        return [domain for domain in (self.source, self.target) if domain is not None]

    def __len__(self) -> int:
        """Number of pairs of a source and a target image. Positions may lie beyond it."""
        return len(self.source) * (1 if self.target is None else len(self.target))

    def __getitem__(self, position: int) -> dict:
        """``{'source': [k samples], 'target': [m samples], 'position': position}``.

        Samples are those of ``PackDomain``. ``target`` is absent without a target data set.
        """
        blocks = {
            domain.name: [
                domain.load(self.seed, number)
                for number in range(position * size, (position + 1) * size)
            ]
            for domain, size in zip(self.domains, self.block, strict=False)
        }
        return {**blocks, 'position': position}

    def source_warnings(self) -> list[str]:
        """Sentences about source labels that look wrong, see :func:`source_warnings`."""
        return list(source_warnings(self.source))


def _checked_block(block: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(block)
    if len(sizes) != 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise UserError(
            f'block is {block!r}, it must be (number of source samples, number of target samples) '
            'at each position, two integers above 0'
        )
    return sizes


def _target_domain(configs: dict | Sequence[dict], sampling: Mapping[str, Any] | None) -> Domain:
    if sampling is None:
        return Domain('target', configs)
    if len(dataset_configs(configs)) > 1:
        _check_shared('target', sampling)
    return Domain('target', configs, partial(ImportanceSampling, **sampling))


def _check_shared(domain: str, *samplings: Mapping[str, Any] | None) -> None:
    """Refuse options of a sampling that several data sets cannot share."""
    for sampling in samplings:
        for option in _OF_ONE_DATA_SET:
            if (sampling or {}).get(option) is not None:
                raise UserError(
                    f'{option} of the sampling names the statistics of one data set, but {domain} '
                    f'is a list: remove {option}; each data set is then sampled without it'
                )


@DATA_SAMPLERS.register_module()
class PositionSampler(Sampler):
    """Endless positions of the sample stream, consecutive in every global batch.

    Rank r of R with batch size b gets i·R·b + r·b + j for i = 0, 1, ... and j < b. So R ranks with
    batch size b see the same samples as one rank with batch size R·b.

    Args:
        dataset: its length is the sampler's length.
        batch_size: per rank; must be the data loader's.
        seed: not used, as positions are the same for every seed; mmengine passes it to samplers.
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
        """Skip the first ``num_samples`` positions of this rank; called on resume."""
        self.start = num_samples


@FUNCTIONS.register_module()
def collate_domains(blocks: list[dict]) -> dict:
    """Stack the samples of blocks into a batch: tensors get a first axis, paths become lists.

    Args:
        blocks: P blocks of :class:`SourceTargetDataset`, each of k source and m target samples.

    Returns:
        ``{'source': {'image': (P * k, 3, H, W), 'label': (P * k, H, W), 'path': [...]},
        'target': {...}, 'position': int64 (P,)}``; the target's have P * m. ``valid``, ``depth``,
        ``day``, ``padding`` and ``views`` likewise.
    """
    batch = {
        name: default_collate([sample for block in blocks for sample in block[name]])
        for name in blocks[0]
        if name != 'position'
    }
    return {**batch, 'position': default_collate([block['position'] for block in blocks])}
