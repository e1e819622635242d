"""Training samples: a labelled source image and an unlabelled target image at a stream position."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.registry import FUNCTIONS
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler, default_collate

from mmseg_uda.datasets.domain import Domain
from mmseg_uda.datasets.sampling import source_sampling
from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.datasets.source_labels import source_warnings
from mmseg_uda.errors import UserError

_OF_ONE_DATA_SET = 'data_root', 'label_info'  # options of samplings that name files


@DATASETS.register_module()
class SourceTargetDataset(Dataset):
    """Pairs of a source and a target sample.

    The sample at a position, with its augmentation, is drawn from (seed, position) alone; the
    target's random draws do not depend on the source's. So the number of loader workers and ranks,
    or a resume, changes nothing.

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
            images are drawn uniformly, as target images always are.
        seed: first part of the key of all random draws.
        source_depth: load depth maps of the source too, where it has a ``depth_dir``. Training
            uses only the target's.

    Attributes:
        source: the :class:`Domain` of the source.
        target: that of the target, or None.
        rare_class_sampling: as given.
        metainfo: classes and palette.

    Raises:
        UserError: see :class:`Domain` and the samplings; a source without labels; both samplings
            at once; on loading a sample: a damaged file, or a label value that is no class.
    """

    def __init__(
        self,
        source: dict | Sequence[dict],
        target: dict | Sequence[dict] | None = None,
        rare_class_sampling: dict | None = None,
        class_balanced_sampling: dict | None = None,
        seed: int = 0,
        source_depth: bool = False,
    ) -> None:
        if len(dataset_configs(source)) > 1:
            _check_shared(rare_class_sampling, class_balanced_sampling)
        sampling = partial(
            source_sampling, rare_class=rare_class_sampling, class_balanced=class_balanced_sampling
        )
        self.source = Domain('source', source, sampling, source_depth)
        self.target = None if target is None else Domain('target', target)
        self.rare_class_sampling = rare_class_sampling
        self.seed = seed
        self.metainfo = self.source.metainfo
        self.num_classes = len(self.metainfo['classes'])

    @property
    def domains(self) -> list[Domain]:
        """The source and, if there is one, the target."""
        return [domain for domain in (self.source, self.target) if domain is not None]

    def __len__(self) -> int:
        """Number of pairs of images. Positions may lie beyond it."""
        return len(self.source) * (1 if self.target is None else len(self.target))

    def __getitem__(self, position: int) -> dict:
        """``{'source': ..., 'target': ..., 'position': position}``, samples as ``PackDomain``'s.

        ``target`` is absent without a target data set.
        """
        samples = {domain.name: domain.load(self.seed, position) for domain in self.domains}
        return {**samples, 'position': position}

    def source_warnings(self) -> list[str]:
        """Sentences about source labels that look wrong, see :func:`source_warnings`."""
        return list(source_warnings(self.source))


def _check_shared(*samplings: Mapping[str, Any] | None) -> None:
    """Refuse options of a sampling that several data sets cannot share."""
    for sampling in samplings:
        for option in _OF_ONE_DATA_SET:
            if option in (sampling or {}):
                raise UserError(
                    f'{option} of the sampling names the statistics of one data set, but source is '
                    f'a list: remove {option}; each data set then uses the statistics in its own '
                    'data_root'
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
def collate_domains(samples: list[dict]) -> dict:
    """Stack samples into a batch: tensors get a first axis B, paths become lists.

    Returns:
        ``{'source': {'image': (B, 3, H, W), 'label': (B, H, W), 'path': [...]}, 'target': {...},
        'position': int64 (B,)}``; ``valid``, ``depth`` and ``day`` likewise.
    """
    return default_collate(samples)
