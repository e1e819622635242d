import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

import mmseg_uda.register  # noqa: F401
from mmseg_uda.datasets.dark_zurich import day_file, day_partners
from mmseg_uda.datasets.segmentation import build_dataset
from mmseg_uda.errors import UserError

NIGHT, DAY = 'train/night/GP1/GP1_frame_000001', 'train/day/GP1_ref/GP1_ref_frame_000007'


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def root(tmp_path):
    """One pair of images, 8 x 16 pixels, dark on the left and bright on the right."""
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 200
    for name, shade in ((NIGHT, 0), (DAY, 50)):
        path = tmp_path / 'rgb_anon' / f'{name}_rgb_anon.png'
        path.parent.mkdir(parents=True)
        Image.fromarray(image + np.uint8(shade)).save(path)
    folder = tmp_path / 'corresp/train/night/GP1'
    folder.mkdir(parents=True)
    (folder / 'GP1.csv').write_text(f'{NIGHT},{DAY}\n')
    return tmp_path


def dataset(root, flip=0.0):
    return build_dataset(
        dict(
            type='DarkZurichDayNightDataset',
            data_root=str(root),
            data_prefix=dict(img_path='rgb_anon/train/night'),
            pipeline=[
                dict(type='LabelFirstCrop', scale=(16, 8), crop_size=None),
                dict(type='LoadDayPartner', scale=(16, 8)),
                dict(type='RandomFlip', prob=flip),
                dict(type='PackDomain'),
            ],
        )
    )


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_a_night_image_comes_with_its_day_image_flipped_alike(root, flip):
    sample = dataset(root, flip)[0]
    assert sample['image'].shape == sample['day'].shape == (3, 8, 16)
    assert torch.equal(sample['day'], sample['image'] + 50)
    bright_left = sample['image'][0, 0, 0] > 100
    assert bool(bright_left) == bool(flip)


def test_a_night_image_without_partner_is_named(root):
    (root / 'corresp/train/night/GP1/GP1.csv').write_text(f'{NIGHT}2,{DAY}\n')
    with pytest.raises(UserError, match='GP1_frame_000001.* no day image is listed'):
        dataset(root)


def test_a_missing_day_image_is_named(root):
    (root / 'rgb_anon' / f'{DAY}_rgb_anon.png').unlink()
    with pytest.raises(UserError, match='1 day images are missing, first .*GP1_ref_frame_000007'):
        dataset(root)


def test_contradicting_rows_are_refused(root):
    (root / 'corresp/train/night/other.csv').write_text(f'{NIGHT},{DAY}8\n')
    with pytest.raises(UserError, match='has two day images'):
        day_partners(root / 'corresp')


def test_rows_that_are_no_pairs_are_refused(root):
    (root / 'corresp/train/night/other.csv').write_text(f'{NIGHT}\n')
    with pytest.raises(UserError, match='a row is "night id,day id"'):
        day_partners(root / 'corresp')


def test_a_folder_without_correspondences_is_refused(tmp_path):
    with pytest.raises(UserError, match='no \\*.csv'):
        day_partners(tmp_path)


def test_equal_rows_may_repeat(root):
    (root / 'corresp/train/night/again.csv').write_text(f'{NIGHT},{DAY}\n\n')
    partners = day_partners(root / 'corresp')
    assert day_file(f'a/night/{NIGHT[12:]}_rgb_anon.png', partners) == (
        f'a/day/{DAY[10:]}_rgb_anon.png'
    )
