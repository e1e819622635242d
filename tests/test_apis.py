"""The package as a library, on the small stored run of ``tests/data/earlier``."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import mmseg_uda
from mmseg_uda.errors import UserError
from mmseg_uda.models.checkpoint import load_checkpoint, save_checkpoint

RUN = Path(__file__).parent / 'data/earlier/run'
CONFIG = RUN.parent / 'tiny.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    """(48, 64, 3) uint8 RGB."""
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


def test_importing_the_package_is_light():
    code = (
        'import sys, mmseg_uda; assert "load" in dir(mmseg_uda); assert "torch" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
    with pytest.raises(AttributeError, match='no attribute nothing'):
        mmseg_uda.nothing  # noqa: B018


def test_files_and_arrays_of_any_number(image, tmp_path):
    model = mmseg_uda.load(RUN, device='cpu')
    cv2.imwrite(str(tmp_path / 'image.png'), image[..., ::-1])
    labels = model.predict(image)
    assert labels.shape == image.shape[:2] and labels.dtype == np.uint8
    several = model.predict([tmp_path / 'image.png', image, str(tmp_path / 'image.png')])
    assert len(several) == 3 and all((found == labels).all() for found in several)
    assert model.predict([]) == []


def test_a_checkpoint_with_its_config_given_or_not(image):
    path = RUN / 'train/iter_2.pth'
    labels = [
        mmseg_uda.load(path, config, device='cpu').predict(image) for config in (None, CONFIG)
    ]
    assert (labels[0] == labels[1]).all()


def test_the_config_in_a_checkpoint_runs_nothing(tmp_path):
    content = load_checkpoint(RUN / 'train/iter_2.pth')
    for text, message in (
        (f'model = open({str(tmp_path / "made")!r}, "w")', 'cannot be read as data'),
        ('import os', 'line 1 is not an assignment'),
    ):
        content['meta']['config'] = text
        save_checkpoint(content, tmp_path / 'x.pth')
        with pytest.raises(UserError, match=message):
            mmseg_uda.load(tmp_path / 'x.pth')
    assert not (tmp_path / 'made').exists()
    content['meta'].pop('config')
    save_checkpoint(content, tmp_path / 'x.pth')
    with pytest.raises(UserError, match='contains no config'):
        mmseg_uda.load(tmp_path / 'x.pth')


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.zeros((4, 4), np.uint8), r'\(4, 4\), uint8'),
        (np.zeros((4, 4, 3), np.float32), 'float32'),
        ('no/such.png', 'no/such.png'),
    ],
)
def test_what_is_no_image_is_named(array, message):
    with pytest.raises(UserError, match=message):
        mmseg_uda.load(RUN, device='cpu').predict(array)


def test_folder_without_checkpoints(tmp_path):
    with pytest.raises(UserError, match='no checkpoint'):
        mmseg_uda.load(tmp_path)
