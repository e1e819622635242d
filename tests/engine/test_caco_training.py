"""CaCo's published configs train, on a tiny toy world with a small network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_uda.cli import train
from mmseg_uda.errors import UserError
from tests.tiny_training import ROOT

WARM_UP_CONFIG = ROOT / 'configs/caco/warmup_r101_gta2cs.py'
pytestmark = pytest.mark.usefixtures('one_thread')

COMMON = """
_base_ = {base!r}
WORLD = {world!r}
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=WORLD + '/cityscapes', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
model = dict(
    segmentor=dict(
        pretrained=None,
        backbone=dict(depth=18, base_channels=8),
        decode_head=dict(in_channels=64),
        level_heads=dict(aux=dict(in_channels=32)),
    )
)
train_cfg = dict(max_iters=4, val_interval=9)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
custom_hooks = [dict(type='ProgressBarHook')]
"""
WARM_UP = """
model['contrast'] = dict(dictionary=dict(confidence=0.05), wait=False)
pipeline = [dict(type='FixedResize', size=(128, 64)), dict(type='PackDomain')]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        source=dict(data_root=WORLD + '/gta', pipeline=pipeline),
        target=dict(data_root=WORLD + '/cityscapes', pipeline=pipeline),
    ),
)
"""
RETRAINING = """
param_scheduler = [
    dict(
        type='WarmupPolyLR',
        power=0.9,
        warmup_iters=2,
        warmup_ratio=0.1,
        decay_in_warmup=False,
        by_epoch=False,
    )
]
total_batch_size = 2
prefix = dict(img_path=WORLD + '/cityscapes/leftImg8bit/train', seg_map_path={labels!r})
pairs = [
    dict(
        type='PairedCrop',
        size=(128, 64),
        crop_size=(48, 64),
        augment=[dict(type='AutoAugment')],
    ),
    dict(type='PackDomain'),
]
crop = [dict(type='ScaleCrop', scales=(1, 1), crop_size=(48, 64)), dict(type='PackDomain')]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        source=dict(data_prefix=prefix, pipeline=pairs),
        target=dict(data_root=WORLD + '/cityscapes', pipeline=crop),
    ),
)
"""


FINE_TUNING = [
    'default_runtime',
    'datasets/cityscapes_paired_pseudo_labels',
    'models/multi_level_r101_retraining',
    'schedules/sgd_poly10warm_caco_100k',
    'uda/category_retraining',
]


def fine_tuning_config(folder: Path) -> Path:
    """The settings of CaCo's fine-tuning in ``configs/_base_``, together."""
    bases = [str(ROOT / f'configs/_base_/{name}.py') for name in FINE_TUNING]
    parts = ('segmentor', 'data_preprocessor')
    model = ', '.join(f'{part}={{{{_base_.{part}}}}}' for part in parts)
    path = folder / 'fine_tuning.py'
    path.write_text(f'_base_ = {bases!r}\nmodel = dict({model})\n')
    return path


def run(published: Path, text: str, world: Path, folder: Path, *options: str) -> Path:
    """Train with a published config, made small; returns the work dir."""
    name, base = published.stem, str(published)
    config, work_dir = folder / f'{name}_tiny.py', folder / name
    config.write_text((COMMON + text).format(base=base, world=str(world), labels=str(folder / 'y')))
    train.main([str(config), '--work-dir', str(work_dir), *options])
    return work_dir


def write_labels(world: Path, folder: Path) -> None:
    """Pseudo-labels of all classes but the last, in cells of 8 pixels."""
    images = world / 'cityscapes/leftImg8bit/train'
    rng = np.random.default_rng(0)
    for path in images.rglob('*.png'):
        cells = rng.integers(0, 18, (8, 16), np.uint8).repeat(8, 0).repeat(8, 1)
        label = folder / path.relative_to(images)
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cells).save(label)


def logged(work_dir: Path) -> list[dict]:
    (path,) = work_dir.rglob('scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if 'loss' in row]


def test_warm_up_then_fine_tuning(world, tmp_path):
    first = run(WARM_UP_CONFIG, WARM_UP, world, tmp_path)
    rows = logged(first)
    assert len(rows) == 4 and {'grad_norm', 'caco.loss_consistency.aux'} < rows[0].keys()
    keys = [row['caco.keys'] for row in rows]
    assert 0 < keys[0] < keys[-1] and all(row['caco.loss_contrast'] > 0 for row in rows)

    write_labels(world, tmp_path / 'y')
    start = first / 'iter_4.pth'
    options = ('--cfg-options', f'load_from={start}')
    rows = logged(run(fine_tuning_config(tmp_path), RETRAINING, world, tmp_path, *options))
    assert len(rows) == 4 and all(row['caco.loss_contrast'] > 0 for row in rows)
    assert rows[0]['caco.keys'] > 2
    # A tenth of the rate at the first iteration.
    assert rows[0]['lr'] == pytest.approx(1e-5)
    state = torch.load(tmp_path / 'fine_tuning/iter_4.pth')['state_dict']
    assert state['dictionary.appended'].sum() >= rows[-1]['caco.keys']
    assert state['balance.absent'][18] > 1


def test_a_dictionary_that_cannot_fill_is_an_error_before_training(world, tmp_path):
    """The labels of the tiny world lack classes."""
    options = ('--cfg-options', 'model.contrast.wait=True')
    with pytest.raises(UserError, match='the source labels have no pixel of .*: the dictionary of'):
        run(WARM_UP_CONFIG, WARM_UP, world, tmp_path, *options)
