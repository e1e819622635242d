"""The source data of a training, from which the rows of a depth bank are made."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.errors import UserError

# Options of the source that change no row: places of files, the crop (compared by itself), and the
# share of a single data set.
_NOT_COMPARED = 'data_root', 'pipeline', 'weight'


def bank_source(
    cfg: Mapping[str, Any], rows: int | None = None
) -> tuple[SourceTargetDataset, dict[str, Any]]:
    """Build the source of a training as a bank reads it; also return the bank's fingerprint.

    Args:
        cfg: config of a :class:`SourceTargetDataset`; its target is not used.
        rows: of the bank; default: the number of source images.

    Raises:
        UserError: see :func:`bank_fingerprint`.
    """
    dataset = SourceTargetDataset(
        cfg['source'],
        rare_class_sampling=cfg.get('rare_class_sampling'),
        seed=cfg.get('seed', 0),
        source_depth=True,
    )
    made_with = bank_fingerprint(dataset, rows)
    dataset.source.datasets[0].pipeline.transforms[-1] = _PackRow()
    return dataset, made_with


def bank_fingerprint(dataset: SourceTargetDataset, rows: int | None = None) -> dict[str, Any]:
    """What a bank of a training's source is made with, as JSON stores it.

    :meth:`DepthBank.check` compares it with that of a bank.

    Args:
        dataset: of the training. Its source is one data set with a ``depth_dir`` and the pipeline
            ``LabelFirstCrop``, ``RandomFlip`` (optional), ``PackDomain``.
        rows: of the bank; default: the number of source images.

    Raises:
        UserError: several source data sets, no depth maps, or a pipeline that a bank cannot repeat.
    """
    if len(dataset.source.datasets) > 1:
        raise UserError(
            f'CDDA needs one source data set, source is a list of {len(dataset.source.datasets)}: '
            'a bank holds crops of one data set'
        )
    source, config = dataset.source.datasets[0], dataset.source.configs[0]
    crop, flip = _check_pipeline(config['pipeline'])
    if not config.get('depth_dir'):
        raise UserError('the source has no depth maps: give its config a depth_dir')
    rows = len(source) if rows is None else rows
    if rows < 1:
        raise UserError(f'{rows} rows: a bank has at least one')
    root = source.data_root or '.'
    files = [
        os.path.relpath(source.get_data_info(index)['img_path'], root)
        for index in range(len(source))
    ]
    sampling = dataset.rare_class_sampling
    made_with = {
        **{f'source.{key}': value for key, value in config.items() if key not in _NOT_COMPARED},
        'source.files': f'{len(files)}, {hashlib.sha256(json.dumps(files).encode()).hexdigest()}',
        'rare_class_sampling': sampling
        and {key: value for key, value in sampling.items() if key != 'data_root'},
        'scale': crop['scale'],
        'crop_size': crop['crop_size'],
        'cat_max_ratio': crop.get('cat_max_ratio', 1.0),
        'flip': flip,
        'num_classes': dataset.num_classes,
        'seed': dataset.seed,
        'rows': rows,
    }
    return json.loads(json.dumps(made_with))


def _check_pipeline(pipeline: list[dict]) -> tuple[dict, float]:
    """Config of the crop, and probability of a flip.

    Raises:
        UserError: the pipeline has other steps.
    """
    types, flips = [step['type'] for step in pipeline], pipeline[1:-1]
    wanted = ['LabelFirstCrop', *['RandomFlip'] * len(flips), 'PackDomain']
    if types != wanted or len(flips) > 1 or any(set(flip) != {'type', 'prob'} for flip in flips):
        raise UserError(
            'for a bank the pipeline of the source must be LabelFirstCrop, RandomFlip (with prob '
            f'only) and PackDomain; it is {", ".join(types)}'
        )
    crop = pipeline[0]
    if crop['crop_size'] is None:
        raise UserError('the source has no crop_size, but the rows of a bank are crops')
    return crop, flips[0]['prob'] if flips else 0.0


class _PackRow(PackDomain):
    """``PackDomain`` with the label file, box and flip, from which the crop can be cut again."""

    def transform(self, results: dict) -> dict:
        place = {
            'label_path': results['seg_map_path'],
            'box': results['crop_box'],
            'flip': results.get('flip', False),
        }
        return super().transform(results) | place
