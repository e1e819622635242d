import cv2
import numpy as np
import pytest

from mmseg_uda.datasets.image_files import read_image
from mmseg_uda.errors import UserError
from tests.datasets.conftest import write_image


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_reads_an_image_and_refuses_a_cut_off_one(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    image = write_image(path, (40, 60))
    assert read_image(str(path)).shape == (40, 60, 3)
    if suffix == '.png':
        np.testing.assert_array_equal(read_image(str(path)), image)
    whole = path.read_bytes()
    for size in (0, 30, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=f'image{suffix}'):
            read_image(str(path))


def test_bytes_after_the_end_marker_are_no_error(tmp_path):
    path = tmp_path / 'image.jpg'
    write_image(path, (40, 60))
    path.write_bytes(path.read_bytes() + b'camera maker notes')
    assert read_image(str(path)).shape == (40, 60, 3)


def test_garbled_png_missing_file_and_folder(tmp_path):
    path = tmp_path / 'image.png'
    write_image(path, (40, 60))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    for bad in (path, tmp_path / 'none.png', tmp_path):
        with pytest.raises(UserError, match=str(bad)):
            read_image(str(bad))


def test_grey_files_become_three_channels(tmp_path):
    path = tmp_path / 'grey.png'
    cv2.imwrite(str(path), np.full((4, 5), 9, np.uint8))
    assert read_image(str(path)).shape == (4, 5, 3)
