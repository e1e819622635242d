"""DA-SAC's stages on a tiny toy world: each takes a few seconds."""

import re
from pathlib import Path

from torch import Tensor

from mmseg_uda.experiments.experiment import Experiment
from mmseg_uda.experiments.recipes import dasac
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.tiny_training import ROOT

MAX_ITERS = 4
BRANCH = r'^decode_head\.aspp_modules\.(\d)\.conv'

COMMON = f"""
WORLD = {{world!r}}
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(data_root=WORLD + '/cityscapes', pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    segmentor=dict(
        backbone=dict(stem_channels=16, base_channels=8), decode_head=dict(in_channels=64)
    )
)
train_dataloader = dict(
    dataset=dict(
        source=dict(data_root=WORLD + '/gta'), target=dict(data_root=WORLD + '/cityscapes')
    )
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        _delete_=True,
        custom_keys={{{{
            'backbone*.bias': dict(lr_mult=2.0, decay_mult=0.0),
            'decode_head*.weight': dict(lr_mult=10.0),
            'decode_head*.bias': dict(lr_mult=20.0, decay_mult=0.0),
        }}}},
    ),
)
param_scheduler = []
train_cfg = dict(max_iters={MAX_ITERS}, val_interval=9)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""

# Images have the size of a crop.
VIEWS = """
target_pipeline = [
    dict(type='LoadScaled', scales=(1.0, 1.1)),
    dict(type='PaddedCrop', crop_size=(64, 128)),
    dict(type='MakeViews', noise=[dict(type='PILBlur', radius=(0.1, 1.0))]),
    dict(type='PackDomain'),
]
train_dataloader['dataset']['target']['pipeline'] = target_pipeline
"""


def write_configs(folder: Path, world: Path) -> str:
    """Write the configs of both trainings; return that of the consistency training."""
    for name, more in (('abn', ''), ('dasac', VIEWS)):
        path = folder / f'{name}_tiny.py'
        base = ROOT / f'configs/toy/{name}_r18_toy_game2city.py'
        path.write_text(f'_base_ = {str(base)!r}\n' + COMMON.format(world=str(world)) + more)
    return str(path)


def experiment(config: str) -> Experiment:
    return Experiment(None, 'tiny_dasac', dasac(config))


def published(checkpoint: Path) -> dict:
    """The content of a baseline's snapshot as DA-SAC writes it, from one of our checkpoints."""
    content = load_checkpoint(checkpoint)
    weights: dict[str, Tensor] = {}
    for name, value in content['state_dict'].items():
        if name.startswith('student.'):
            name = name.removeprefix('student.').replace('backbone.', 'model.')
            name = re.sub(BRANCH, r'model.layer5.conv2d_list.\1', name)
            weights[f'module.backbone.{name}'] = value
    settings = 'lr', 'momentum', 'dampening', 'weight_decay', 'nesterov', 'params'  # of PyTorch 1.4
    state = content['optimizer']
    groups = [{name: group[name] for name in settings} for group in state['param_groups']]
    opt = dict(state=state['state'], param_groups=groups)
    return dict(model=weights, opt=opt, epoch=40, score=0.4)
