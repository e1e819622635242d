"""Tiny data sets in the raw formats of the real ones."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_uda.datasets import labels
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.preparation.depth_bank import make_bank
from tests.datasets.conftest import write_image, write_palette_label

ROWS = 40  # two parts


def raw_ids(table: dict, size_hw=(24, 32), seed: int = 0) -> np.ndarray:
    ids = np.array([label_id for label_id in table if label_id >= 0])
    return np.random.default_rng(seed).choice(ids, size_hw)


@pytest.fixture
def gta_root(tmp_path):
    """Three raw GTA pairs of 24 x 32 pixels."""
    root = tmp_path / 'gta'
    for number in range(3):
        write_image(root / f'images/{number:05d}.png', (24, 32), number)
        ids = raw_ids(labels.GTA_TO_TRAIN, seed=number)
        write_palette_label(root / f'labels/{number:05d}.png', ids)
    return root


@pytest.fixture
def synthia_root(tmp_path):
    """Two raw SYNTHIA pairs; the green channel has instance ids above 255."""
    root = tmp_path / 'synthia'
    (root / 'GT/LABELS').mkdir(parents=True)
    for number in range(2):
        write_image(root / f'RGB/{number:07d}.png', (24, 32), number)
        label = np.zeros((24, 32, 3), np.uint16)
        label[..., 2] = raw_ids(labels.SYNTHIA_TO_TRAIN, seed=number)
        label[..., 1] = 700 + number
        assert cv2.imwrite(str(root / f'GT/LABELS/{number:07d}.png'), label)
    return root


def square(name: str, x: int, y: int, side: int = 8, **extra) -> dict:
    """An object of a polygon file."""
    corners = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    return {'label': name, 'polygon': corners, **extra}


@pytest.fixture
def cityscapes_root(tmp_path):
    """One raw Cityscapes pair in train and one in val."""
    root = tmp_path / 'cityscapes'
    objects = [
        square('road', 0, 0, 40),
        square('car', 4, 4),
        square('license plate', 5, 5, 2),
        square('persongroup', 20, 4),
        square('bus', 20, 20, deleted=1),
        square('polegroup', 4, 20),
    ]
    for split, city in (('train', 'aachen'), ('val', 'lindau')):
        stem = f'{split}/{city}/{city}_000000_000001'
        write_image(root / f'leftImg8bit/{stem}_leftImg8bit.png', (32, 64))
        polygons = root / f'gtFine/{stem}_gtFine_polygons.json'
        polygons.parent.mkdir(parents=True)
        annotation = {'imgWidth': 64, 'imgHeight': 32, 'objects': objects}
        polygons.write_text(json.dumps(annotation))
    return root


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Set the scope as a config's ``default_scope`` does in a run."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmseg')


@pytest.fixture
def config(world) -> dict:
    """Options of the training data from which a depth bank is made."""
    return dict(
        source=dict(
            type='GTADataset',
            data_root=str(world / 'gta'),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            depth_dir='depth_any',
            pipeline=[
                dict(
                    type='LabelFirstCrop', scale=(160, 80), crop_size=(64, 96), cat_max_ratio=0.75
                ),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDomain'),
            ],
        ),
        rare_class_sampling=dict(class_temp=0.1, min_pixels=0),
        seed=5,
    )


@pytest.fixture
def bank(config, tmp_path) -> DepthBank:
    """A depth bank of 40 rows."""
    return make_bank(config, tmp_path / 'bank', ROWS, nproc=1)


def same_counts(one: Path, two: Path) -> bool:
    """Whether two bank folders hold the same counts."""
    return (one / 'counts.npy').read_bytes() == (two / 'counts.npy').read_bytes()
