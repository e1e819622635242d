"""Depth maps from the file to the training step's batch."""

import re

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmseg_uda.datasets.depth import DEPTHS, depth_counts, depth_name, read_depth
from mmseg_uda.datasets.source_target import SourceTargetDataset, collate_domains
from mmseg_uda.datasets.transforms import LabelFirstCrop, PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from tests.datasets.conftest import stripes, write_image, write_train_ids


def write_depth(path, depth: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), depth)


@pytest.fixture
def config(tmp_path):
    """Two GTA pairs and two Cityscapes images of 48 x 96, with depth maps of half the size.

    In an image, colour, label and depth change together, in columns.
    """
    levels = np.repeat(np.arange(0, 240, 5, dtype=np.uint8), 2)  # of 96 columns
    picture = np.broadcast_to(levels[None, :, None], (48, 96, 3))
    depth = np.broadcast_to(levels[None, ::2], (24, 48))
    for number in range(2):
        gta = tmp_path / 'gta'
        write_image(gta / f'images/{number}.png', (48, 96))
        cv2.imwrite(str(gta / f'images/{number}.png'), picture)
        write_train_ids(gta / f'labels/{number}_labelTrainIds.png', stripes((48, 96), [0, 1]))
        write_depth(gta / f'depth_any/{number}.png', depth)
        stem = f'bonn/bonn_{number:06d}_000019'
        image = tmp_path / f'cityscapes/leftImg8bit/train/{stem}_leftImg8bit.png'
        write_image(image, (48, 96))
        cv2.imwrite(str(image), picture)
        write_depth(tmp_path / f'cityscapes/depth_any/train/{stem}_depth.png', depth)
    pipeline = [
        dict(type='LabelFirstCrop', scale=(96, 48), crop_size=(32, 40)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ]
    return dict(
        source=dict(
            type='GTADataset',
            data_root=str(tmp_path / 'gta'),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            depth_dir='depth_any',
            pipeline=pipeline,
        ),
        target=dict(
            type='CityscapesDataset',
            data_root=str(tmp_path / 'cityscapes'),
            data_prefix=dict(img_path='leftImg8bit/train'),
            depth_dir='depth_any/train',
            pipeline=pipeline,
        ),
    )


def test_names():
    assert depth_name('00001.png') == '00001.png'
    assert depth_name('bonn/bonn_0_1_leftImg8bit.png') == 'bonn/bonn_0_1_depth.png'
    assert depth_name('a/b.jpg') == 'a/b.png'


def test_transform():
    assert DEPTHS.dtype == np.float32 and DEPTHS[0] == 255 and not DEPTHS[237:].any()
    assert (np.diff(DEPTHS) <= 0).all() and len(np.unique(DEPTHS)) == 119


def test_depth_follows_image_and_flip(config):
    dataset = SourceTargetDataset(**config, seed=1)
    flips = set()
    for position in range(8):
        ((source,), (target,)) = (dataset[position][name] for name in ('source', 'target'))
        assert 'depth' not in source  # only the target's is loaded for training
        image, depth = (target[key] for key in ('image', 'depth'))
        assert depth.dtype == torch.float32 and depth.shape == (32, 40)
        # halfway between two columns of the depth map the resized one is fractional, but near
        expected = torch.from_numpy(DEPTHS)[image[0].long()]
        assert (depth - expected).abs().max() < 12
        flips.add(bool(image[0, 0, 0] > image[0, 0, -1]))
    assert flips == {True, False}
    assert (depth != depth.round()).any()


def test_source_depth_where_asked_for(config):
    dataset = SourceTargetDataset(config['source'], source_depth=True)
    assert dataset[0]['source'][0]['depth'].shape == (32, 40)


def test_without_depth_dir_samples_are_as_before(config):
    with_depth = SourceTargetDataset(**config)[3]
    for domain in ('source', 'target'):
        del config[domain]['depth_dir']
    without = SourceTargetDataset(**config)[3]
    assert set(without['target'][0]) == set(with_depth['target'][0]) - {'depth'}
    assert all(torch.equal(without[d][0]['image'], with_depth[d][0]['image']) for d in config)


def test_batch(config):
    config['target']['pipeline'][0]['crop_size'] = (32, 40)
    loader = DataLoader(SourceTargetDataset(**config), batch_size=2, collate_fn=collate_domains)
    collated = next(iter(loader))
    batch = UDADataPreProcessor()(collated, training=True)
    assert batch.target.depth.shape == (2, 32, 40) and batch.target.depth.dtype == torch.float32
    assert torch.equal(batch.target.depth, collated['target']['depth'])
    assert batch.source.depth is None


def test_padding_is_far(tmp_path):
    write_image(tmp_path / 'image.png', (20, 30))
    write_depth(tmp_path / 'depth.png', np.full((20, 30), 255, np.uint8))
    files = {'img_path': str(tmp_path / 'image.png'), 'depth_path': str(tmp_path / 'depth.png')}
    packed = PackDomain()(LabelFirstCrop((30, 20), (24, 32))(files))
    assert packed['depth'].shape == (24, 32)
    assert (packed['depth'][20:] == 255).all() and (packed['depth'][:, 30:] == 255).all()
    assert not packed['depth'][:20, :30].any()


def test_a_given_box_is_cut_and_nothing_drawn(tmp_path):
    image = write_image(tmp_path / 'image.png', (20, 30))
    write_train_ids(tmp_path / 'label.png', stripes((20, 30), [0, 1]))
    np.random.seed(0)
    before = np.random.get_state()[2]
    info = {'img_path': str(tmp_path / 'image.png'), 'seg_map_path': str(tmp_path / 'label.png')}
    info |= {'label_map': None, 'reduce_zero_label': False, 'crop_box': (2, 10, 5, 21)}
    cut = LabelFirstCrop((30, 20), (8, 16), cat_max_ratio=0.75)(info)
    assert np.array_equal(cut['img'], image[2:10, 5:21])
    assert np.random.get_state()[2] == before


def test_counts():
    label = np.array([[0, 1], [1, 255]], np.uint8)
    depth = np.array([[0.9, 7], [7.99, 3]], np.float32)
    counts = depth_counts(label, depth, 2)
    assert counts.shape == (2, 256) and counts.sum() == 3
    assert counts[0, 0] == 1 and counts[1, 7] == 2


def test_missing_depth_maps_are_named_before_training(config, tmp_path):
    missing = tmp_path / 'cityscapes/depth_any/train/bonn/bonn_000001_000019_depth.png'
    missing.unlink()
    with pytest.raises(UserError, match=f'1 of 2 depth files.*{re.escape(str(missing))}.*estimate'):
        SourceTargetDataset(**config)
    config['target']['depth_dir'] = 'nowhere'
    with pytest.raises(UserError, match='no folder .*nowhere for the depth maps'):
        SourceTargetDataset(**config)


@pytest.mark.parametrize('picture', [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)])
def test_wrong_kinds_of_depth_maps(picture, tmp_path):
    write_depth(tmp_path / 'depth.png', picture)
    with pytest.raises(UserError, match=r'depth\.png: a depth map has one channel of 8 bits'):
        read_depth(str(tmp_path / 'depth.png'))
