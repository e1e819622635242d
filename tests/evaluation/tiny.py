"""A tiny data set in Cityscapes layout with a config and a checkpoint of random weights."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

SIZE = 32, 64
IMAGES = ['aachen/aachen_0', 'aachen/aachen_1', 'bonn/bonn_0']
CONFIG = """
custom_imports = dict(imports=['mmseg_uda.register'])
default_scope = 'mmseg'
model = dict(
    type='SourceOnly',
    data_preprocessor=dict(type='UDADataPreProcessor'),
    segmentor=dict(
        type='Segmentor',
        pretrained='no/such/file.pth',
        backbone=dict(type='MiT', arch='b0'),
        decode_head=dict(
            type='DAFormerHead', in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3],
            channels=8, embed_dims=8, num_classes=19,
        ),
        test_cfg=dict(mode='whole'),
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root={root!r},
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(96, 48), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_evaluator = dict(type='SegmentationMetric', subsets=dict(mIoU2=[0, 1]))
"""


def image_path(root: Path, name: str) -> Path:
    return root / f'leftImg8bit/val/{name}_leftImg8bit.png'


def label_path(root: Path, name: str) -> Path:
    return root / f'gtFine/val/{name}_gtFine_labelTrainIds.png'


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def make_tiny(root: Path) -> tuple[Path, Path]:
    """Write images, labels, ``config.py`` and ``iter_1.pth`` into ``root``; returns the latter."""
    rng = np.random.default_rng(0)
    for name in IMAGES:
        write_png(image_path(root, name), rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        label = rng.integers(0, 18, SIZE, dtype=np.uint8)  # no class 18
        label[:4] = 255
        write_png(label_path(root, name), label)
    config, checkpoint = root / 'config.py', root / 'iter_1.pth'
    config.write_text(CONFIG.replace('{root!r}', repr(str(root))))
    weights = {}
    for prefix, seed in (('student.', 0), ('teacher.network.', 1)):
        weights |= {prefix + key: value for key, value in network_weights(config, seed).items()}
    torch.save({'state_dict': weights, 'meta': {}}, checkpoint)
    return config, checkpoint


def network_weights(config: Path, seed: int) -> dict[str, torch.Tensor]:
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    import mmseg_uda.register  # noqa: F401

    init_default_scope('mmseg')
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MODELS.build(Config.fromfile(config).model.segmentor).state_dict()


def loop_scores(pairs: list[tuple[np.ndarray, np.ndarray]], num_classes: int) -> list[float]:
    """IoU of each class over (prediction, label) pairs by the plain formula; NaN if undefined."""
    ious = []
    for index in range(num_classes):
        intersection = union = 0
        for pred, label in pairs:
            for p, t in zip(pred.flatten().tolist(), label.flatten().tolist(), strict=True):
                if t != 255:
                    intersection += p == index and t == index
                    union += p == index or t == index
        ious.append(intersection / union if union else float('nan'))
    return ious
