"""Data sets that mmseg lacks, and the check that a data set's files exist.

mmseg has Cityscapes, Dark Zurich and Nighttime Driving. All data sets have labels of the 19
Cityscapes classes; their files are those with the right suffix below the folders of
``data_prefix``, sorted.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.datasets import BaseSegDataset, BDD100KDataset, CityscapesDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_uda.datasets.depth import depth_name
from mmseg_uda.datasets.image_files import image_size
from mmseg_uda.datasets.labels import CLASSES, PALETTE
from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in

#: Options of a data set's config that mmseg's data sets do not know.
OWN_OPTIONS = 'depth_dir', 'weight'

#: Commands that make the labels of a data set.
_LABEL_MAKERS = {
    'GTADataset': 'convert gta',
    'SYNTHIADataset': 'convert synthia',
    'CityscapesDataset': 'convert cityscapes',
    'CrossCityDataset': 'convert crosscity',
    'PseudoLabelDataset': 'pseudo-label',
}


@DATASETS.register_module()
class GTADataset(CityscapesDataset):
    """GTA5 (Richter et al., Playing for Data): ``images/*.png``, ``labels/*_labelTrainIds.png``."""

    def __init__(self, img_suffix='.png', seg_map_suffix='_labelTrainIds.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class SYNTHIADataset(CityscapesDataset):
    """SYNTHIA (RAND-CITYSCAPES): ``RGB/*.png``, ``GT/LABELS/*_labelTrainIds.png``; 16 classes."""

    def __init__(self, img_suffix='.png', seg_map_suffix='_labelTrainIds.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class ACDCDataset(CityscapesDataset):
    """ACDC (adverse conditions): ``*_rgb_anon.png`` with ``*_gt_labelTrainIds.png``."""

    def __init__(
        self, img_suffix='_rgb_anon.png', seg_map_suffix='_gt_labelTrainIds.png', **kwargs
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class BDD100KNightDataset(BDD100KDataset):
    """The night images of BDD100K's segmentation set: ``*.jpg`` with ``*_train_id.png``.

    The folders of ``data_prefix`` or a list in ``ann_file`` select the night images.
    """

    def __init__(self, img_suffix='.jpg', seg_map_suffix='_train_id.png', **kwargs) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class CrossCityDataset(CityscapesDataset):
    """Cross-City (Chen et al., ICCV 2017), one city: ``*.jpg`` with ``*_eval_labelTrainIds.png``.

    Its labels have 13 of the 19 classes, ``mmseg_uda.datasets.labels.CROSS_CITY_13``.
    """

    def __init__(
        self, img_suffix='.jpg', seg_map_suffix='_eval_labelTrainIds.png', **kwargs
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class PseudoLabelDataset(BaseSegDataset):
    """Images with pseudo-labels, see ``mmseg_uda.preparation.pseudo_labels``.

    The label of ``<name>.<suffix>`` is ``<name>.png``. Its values are indices into the classes of
    ``metainfo`` (some or all of the 19) and are not mapped.
    """

    def __init__(
        self, img_suffix='_leftImg8bit.png', metainfo: dict | None = None, **kwargs
    ) -> None:
        classes = list((metainfo or {}).get('classes', CLASSES))
        palette = [PALETTE[CLASSES.index(name)] for name in classes]
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=f'{img_suffix.rpartition(".")[0]}.png',
            metainfo=dict(classes=classes, palette=palette),
            reduce_zero_label=False,
            **kwargs,
        )


@DATASETS.register_module()
class FileListDataset(CityscapesDataset):
    """Images and labels that a list names, in the order of the list.

    ``ann_file`` is a text file with a line ``<image>[ <label>]`` for each sample. It and the paths
    in it are relative to ``data_root``. Labels are loaded if ``data_prefix`` has a
    ``seg_map_path``: ``''``, or a folder below ``data_root`` that labels are relative to.

    Raises:
        UserError: a line has more than two columns, or no label although labels are loaded.
    """

    def __init__(
        self, ann_file: str, data_root: str = '.', data_prefix: dict | None = None, **kwargs
    ) -> None:
        super().__init__(
            img_suffix='',
            ann_file=ann_file,
            data_root=data_root,
            data_prefix={'img_path': ''} | (data_prefix or {}),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        folder, label_folder = (self.data_prefix.get(k) for k in ('img_path', 'seg_map_path'))
        same = dict(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
        samples = []
        for number, image, label in read_list(self.ann_file):
            sample = dict(same, img_path=os.path.join(folder, image), seg_fields=[])
            if label_folder is not None:
                if label is None:
                    raise UserError(
                        f'{self.ann_file}, line {number}: no label for {image}: add it after a '
                        'blank, or remove seg_map_path from data_prefix'
                    )
                sample['seg_map_path'] = os.path.join(label_folder, label)
            samples.append(sample)
        return samples


def read_list(path: str | os.PathLike) -> list[tuple[int, str, str | None]]:
    """Read (line number, image, label or None) from lines ``<image>[ <label>]``.

    Empty lines are skipped.

    Raises:
        UserError: the file cannot be read, or a line has more than two columns.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'list {path} cannot be read ({reason})') from error
    entries = []
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if len(columns) > 2:
            raise UserError(
                f'{path}, line {number}: "{line}" has {len(columns)} columns instead of an image '
                'and a label, whose paths must not contain blanks'
            )
        if columns:
            entries.append((number, columns[0], columns[1] if len(columns) == 2 else None))
    return entries


def dataset_configs(
    configs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """The data set configs of a domain (``source`` or ``target``) as a list; it may be one."""
    return [configs] if isinstance(configs, Mapping) else list(configs)


def pipeline_without(pipeline: Sequence[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    """The steps of a pipeline config whose transform is none of ``types``."""
    return [step for step in pipeline if step['type'].split('.')[-1] not in types]


def build_dataset(cfg: Mapping[str, Any], depth: bool = True) -> BaseSegDataset:
    """Build an mmseg data set from its config and check its files.

    Args:
        cfg: may have ``depth_dir``, the folder of its depth maps below ``data_root``; see
            :func:`mmseg_uda.datasets.depth.depth_name` for their names. A ``weight`` is ignored.
        depth: use ``depth_dir``.

    Raises:
        UserError: see :func:`check_dataset`.
    """
    dataset = _build_lazily(cfg)
    if depth and cfg.get('depth_dir') is not None:
        dataset.data_prefix['depth_path'] = os.path.join(dataset.data_root or '', cfg['depth_dir'])
    check_dataset(dataset)
    dataset.full_init()
    return dataset


def dataset_metainfo(cfg: Mapping[str, Any]) -> dict:
    """``classes`` and ``palette`` of a data set, from its config; its files need not exist.

    mmseg gives classes without a palette colours of its own, the same every time.

    Raises:
        UserError: the data set has no list of classes.
    """
    dataset = _build_lazily({key: value for key, value in cfg.items() if key != 'pipeline'})
    _check_classes(dataset)
    return dataset.metainfo


def _build_lazily(cfg: Mapping[str, Any]) -> BaseSegDataset:
    """Build a data set without looking for its files."""
    options = {key: value for key, value in cfg.items() if key not in OWN_OPTIONS}
    return DATASETS.build({**options, 'lazy_init': True})


def sample_info(dataset: BaseSegDataset, index: int) -> dict:
    """Input of the pipeline for an image: ``get_data_info`` and, if it has one, ``depth_path``."""
    info = dataset.get_data_info(index)
    if dataset.data_prefix.get('depth_path'):
        info['depth_path'] = _depth_path(dataset, info['img_path'])
    return info


def check_dataset(dataset: BaseSegDataset) -> None:
    """Check that a data set, built with or without ``lazy_init``, has images and labels.

    Raises:
        UserError: a folder or list does not exist, there are no images, files are missing (the
            first is named), the data set has no list of classes, or a pseudo-label is not of the
            size of its image.
    """
    name = type(dataset).__name__
    folder, label_folder, depth_folder = (
        dataset.data_prefix.get(key) for key in ('img_path', 'seg_map_path', 'depth_path')
    )
    folders = ((folder, 'images'), (label_folder, 'labels'), (depth_folder, 'depth maps'))
    for path, meaning in folders:
        if path and not os.path.isdir(path):
            raise UserError(
                f'{name}: no folder {path} for the {meaning}{looked_in(path)}: is data_root right?'
            )
    _check_classes(dataset)
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        raise UserError(f'{name}: no list {dataset.ann_file} (ann_file)')
    samples = dataset.load_data_list()
    if not samples:
        raise UserError(f'{name}: no images *{dataset.img_suffix} in {dataset.ann_file or folder}')
    _check_files(name, 'image', [sample['img_path'] for sample in samples])
    if label_folder:
        _check_files(name, 'label', [sample['seg_map_path'] for sample in samples])
        if isinstance(dataset, PseudoLabelDataset):
            _check_sizes(name, samples)
    if depth_folder:
        paths = [_depth_path(dataset, sample['img_path']) for sample in samples]
        _check_files(name, 'depth', paths)


def _check_classes(dataset: BaseSegDataset) -> None:
    if not dataset.metainfo.get('classes'):
        raise UserError(
            f'{type(dataset).__name__}: no classes; add metainfo=dict(classes=[...], palette=[...])'
        )


def _depth_path(dataset: BaseSegDataset, image_path: str) -> str:
    folders = dataset.data_prefix
    name = depth_name(os.path.relpath(image_path, folders['img_path']))
    return os.path.join(folders['depth_path'], name)


def _check_files(name: str, meaning: str, paths: list[str]) -> None:
    missing = [path for path in paths if not os.path.exists(path)]
    if not missing:
        return
    advice = ''
    if meaning == 'label' and name in _LABEL_MAKERS:
        advice = f'; make them with mmseg-uda {_LABEL_MAKERS[name]}'
    if meaning == 'depth':
        advice = '; make them with mmseg-uda estimate-depth'
    raise UserError(
        f'{name}: {len(missing)} of {len(paths)} {meaning} files are missing, first '
        f'{missing[0]}{advice}'
    )


def _check_sizes(name: str, samples: Sequence[Mapping[str, str]]) -> None:
    """Compare the sizes of images and labels, by the headers of their files."""
    pairs = [(sample['img_path'], sample['seg_map_path']) for sample in samples]
    wrong = [pair for pair in pairs if image_size(pair[0]) != image_size(pair[1])]
    if wrong:
        image, label = wrong[0]
        sizes = ['{}x{}'.format(*image_size(path)) for path in wrong[0]]
        raise UserError(
            f'{name}: {len(wrong)} of {len(pairs)} labels have another size than their image, '
            f'first {label} ({sizes[1]}) of {image} ({sizes[0]}); make them with mmseg-uda '
            f'{_LABEL_MAKERS[name]}'
        )


class NamedErrors(Dataset):
    """Wraps a data set so that its errors name the files of the sample that failed to load."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.metainfo = dataset.metainfo
        self.infos = [dataset.get_data_info(index) for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        try:
            return self.dataset[index]
        except Exception as error:
            files = [self.infos[index].get(key) for key in ('img_path', 'seg_map_path')]
            names = ' or its label '.join(file for file in files if file)
            reason = str(error).strip().split('\n')[-1]
            raise UserError(f'{names} cannot be read: {type(error).__name__}: {reason}') from error
