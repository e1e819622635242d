"""The source data of a training, from which the rows of a depth bank are made."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.errors import UserError


def fingerprint(cfg: Mapping[str, Any], rows: int | None = None) -> dict[str, Any]:
    """What a bank of a training's source is made with; see :meth:`DepthBank.check`.

    Arguments and errors as of :func:`bank_source`.
    """
    return bank_source(cfg, rows)[1]


def bank_source(
    cfg: Mapping[str, Any], rows: int | None = None
) -> tuple[SourceTargetDataset, dict[str, Any]]:
    """The source of a training as a bank reads it, and the fingerprint of such a bank.

    Args:
        cfg: config of a :class:`SourceTargetDataset`; its target is not needed. The source's
            ``depth_dir`` is, and a pipeline of ``LabelFirstCrop``, ``RandomFlip`` and
            ``PackDomain``.
        rows: of the bank; default: as many as the source has images.

    Raises:
        UserError: no depth maps, or a pipeline that a bank cannot repeat.
    """
    source, sampling = cfg['source'], cfg.get('rare_class_sampling')
    crop, flip = _check_pipeline(source['pipeline'])
    if not source.get('depth_dir'):
        raise UserError('the source has no depth maps: give its config a depth_dir')
    seed = cfg.get('seed', 0)
    dataset = SourceTargetDataset(
        source, rare_class_sampling=sampling, seed=seed, source_depth=True
    )
    rows = len(dataset.source) if rows is None else rows
    if rows < 1:
        raise UserError(f'{rows} rows: a bank has at least one')
    root = dataset.source.data_root or '.'
    files = [
        os.path.relpath(dataset.source.get_data_info(index)['img_path'], root)
        for index in range(len(dataset.source))
    ]
    dataset.source.pipeline.transforms[-1] = _PackRow()
    made_with = {
        **{f'source.{k}': v for k, v in source.items() if k not in ('data_root', 'pipeline')},
        'source.files': f'{len(files)}, {hashlib.sha256(json.dumps(files).encode()).hexdigest()}',
        'rare_class_sampling': sampling
        and {key: value for key, value in sampling.items() if key != 'data_root'},
        'scale': crop['scale'],
        'crop_size': crop['crop_size'],
        'cat_max_ratio': crop.get('cat_max_ratio', 1.0),
        'flip': flip,
        'num_classes': dataset.num_classes,
        'seed': seed,
        'rows': rows,
    }
    return dataset, json.loads(json.dumps(made_with))


def _check_pipeline(pipeline: list[dict]) -> tuple[dict, float]:
    """The crop's config and the probability of a flip.

    Raises:
        UserError: the pipeline does something else to the samples, too.
    """
    crop, *flips, _ = pipeline
    types = [step['type'] for step in pipeline]
    wanted = ['LabelFirstCrop', *['RandomFlip'] * len(flips), 'PackDomain']
    if types != wanted or len(flips) > 1 or any(set(flip) != {'type', 'prob'} for flip in flips):
        raise UserError(
            'the pipeline of the source must be LabelFirstCrop, RandomFlip (prob alone given) and '
            f'PackDomain for a bank, this is {", ".join(types)}'
        )
    if crop['crop_size'] is None:
        raise UserError('the source has no crop_size; the rows of a bank are crops')
    return crop, flips[0]['prob'] if flips else 0.0


class _PackRow(PackDomain):
    """``PackDomain`` with what it takes to cut the crop again."""

    def transform(self, results: dict) -> dict:
        place = {
            'label_path': results['seg_map_path'],
            'box': results['crop_box'],
            'flip': results.get('flip', False),
        }
        return super().transform(results) | place
