"""SDCA's stages on a tiny toy world: each takes about a second."""

from pathlib import Path

from mmseg_uda.experiments.experiment import Experiment
from mmseg_uda.experiments.recipes import sdca
from tests.tiny_training import ROOT, SIZE

MAX_ITERS = 4

COMMON = f"""
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(data_root={{world!r}} + '/cityscapes', pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    segmentor=dict(
        backbone=dict(stem_channels=16, base_channels=8), decode_head=dict(in_channels=64)
    )
)
param_scheduler = [dict(type='WarmupPolyLR', warmup_iters=2, by_epoch=False)]
train_cfg = dict(max_iters={MAX_ITERS}, val_interval=9)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""
SOURCE = f"""
_base_ = {str(ROOT / 'configs/toy/src_r18_toy_game2city.py')!r}
pipeline = [dict(type='FixedResize', size={SIZE[::-1]}), dict(type='PackDomain')]
train_dataloader = dict(
    batch_size=2, dataset=dict(source=dict(data_root={{world!r}} + '/gta', pipeline=pipeline))
)
"""
ADAPTATION = f"""
_base_ = {str(ROOT / 'configs/toy/sdca_r18_toy_game2city.py')!r}
source_pipeline = [
    dict(type='FixedResize', size={SIZE[::-1]}),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(type='BlurThree'),
    dict(type='PackDomain'),
]
target_pipeline = [dict(type='FixedResize', size=(96, 48)), dict(type='PackDomain')]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        source=dict(data_root={{world!r}} + '/gta', pipeline=source_pipeline),
        target=dict(data_root={{world!r}} + '/cityscapes', pipeline=target_pipeline),
    ),
)
"""
SELF_SUPERVISION = f"""
_base_ = {str(ROOT / 'configs/toy/ssl_r18_toy_game2city.py')!r}
pipeline = [
    dict(type='ScaleCrop', scales=(0.8, 1.5), crop_size={SIZE}),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        source=dict(
            data_prefix=dict(img_path={{world!r}} + '/cityscapes/leftImg8bit/train'),
            pipeline=pipeline,
        )
    ),
)
"""


def write_configs(folder: Path, world: Path) -> list[str]:
    """Configs of the three trainings."""
    paths = []
    for name, text in (('src', SOURCE), ('sdca', ADAPTATION), ('ssl', SELF_SUPERVISION)):
        path = folder / f'{name}_tiny.py'
        path.write_text((text + COMMON).format(world=str(world)))
        paths.append(str(path))
    return paths


def experiment(configs: list[str], toy: bool = True) -> Experiment:
    return Experiment(None, 'tiny_sdca', sdca(configs[1], toy=toy))
