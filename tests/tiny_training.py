"""A tiny toy world and a DAFormer config for it that trains in about a second."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_uda.errors import run_cli

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64, 128
MAX_ITERS = 6
INTERVAL = 2  # iterations between two checkpoints
DAFORMER = 'daformer_mitb0_toy_game2city.py'

# All random components are on: dropout, drop path, rare class sampling, flips, jitter, blur.
CONFIG = f"""
_base_ = {{base!r}}
WORLD = {{world!r}}
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(160, 80), crop_size={SIZE}, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
target_pipeline = source_pipeline
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        source=dict(data_root=WORLD + '/gta', pipeline=source_pipeline),
        target=dict(data_root=WORLD + '/cityscapes', pipeline=target_pipeline),
        rare_class_sampling=dict(data_root=WORLD + '/gta', min_pixels=0),
    ),
)
val_dataloader = dict(dataset=dict(data_root=WORLD + '/cityscapes', pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    threshold=0.07,
    jitter_threshold=0.0,
    segmentor=dict(
        pretrained=WORLD + '/mit_b0.pth',
        backbone=dict(drop_path_rate=0.1),
        decode_head=dict(channels=8, embed_dims=8, dropout_ratio=0.1),
    ),
    addons=dict(
        feature_distance=dict(type='FeatureDistance', classes=list(range(19)), min_ratio=0.25)
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=3 + 1, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end={MAX_ITERS} + 1, by_epoch=False),
]
train_cfg = dict(max_iters={MAX_ITERS}, val_interval=4)
default_hooks = dict(checkpoint=dict(interval={INTERVAL}), logger=dict(interval=1))
custom_hooks = [dict(type='ProgressBarHook'), dict(type='PicturePanelHook', interval=5)]
"""


def make_world(folder: Path) -> None:
    """Game and city data, converted by our tools, and random backbone weights."""
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS

    import mmseg_uda.register  # noqa: F401
    from mmseg_uda.preparation.conversion import convert
    from mmseg_uda.toy import make_world

    make_world(folder, size=SIZE, counts=dict(train=8, val=3, test=0), looks=('game', 'city'))
    for name in ('gta', 'cityscapes'):
        convert(name, str(folder / name), nproc=1)
    with DefaultScope.overwrite_default_scope('mmseg'), torch.random.fork_rng():
        torch.manual_seed(7)
        backbone = MODELS.build(dict(type='MiT', arch='b0'))
        backbone.init_weights()
    torch.save(backbone.state_dict(), folder / 'mit_b0.pth')


def write_config(path: Path, world: Path, more: str = '', base: str = DAFORMER) -> str:
    """Write the config of ``configs/toy/<base>`` with further lines; return its path."""
    base = str(ROOT / 'configs/toy' / base)
    path.write_text(CONFIG.format(base=base, world=str(world)) + more)
    return str(path)


def environment() -> dict[str, str]:
    """Environment of commands: one thread each, as for runs inside the test process."""
    return os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}


def start(*arguments: str, **options) -> subprocess.Popen:
    """Start a Python command in the background."""
    output = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=environment(), **(output | options)
    )


def failure(capfd, main, *arguments: str | Path) -> str:
    """Run a command's ``main``, which must exit with status 2 and one line; return that line."""
    with pytest.raises(SystemExit) as end:
        run_cli(lambda: main([str(argument) for argument in arguments]))
    shown = capfd.readouterr().err
    lines = [line for line in shown.splitlines() if line.startswith('error: ')]
    assert end.value.code == 2 and 'Traceback' not in shown
    assert len(lines) == 1 and shown.endswith(f'{lines[0]}\n'), shown
    return lines[0]
