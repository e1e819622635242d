import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.image_files import image_size, read_image, read_label_values, read_values
from mmseg_uda.errors import UserError
from mmseg_uda.preparation.raw_labels import GTA, read_label_image
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


def huge(path: Path, side: int = 50_000) -> None:
    """Write a whole PNG file whose header says so many pixels a side, and few bytes of them."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        )

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b'IDAT', zlib.compress(bytes(1000)))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + pixels + chunk(b'IEND', b''))


@pytest.mark.parametrize(
    'read',
    [
        lambda path: read_image(str(path)),
        lambda path: image_size(str(path)),
        lambda path: read_label_image(GTA, str(path)),
        read_values,
        read_label_values,
    ],
)
def test_an_image_with_too_many_pixels_is_named(tmp_path, read):
    huge(tmp_path / 'huge.png')
    with pytest.raises(UserError, match=r'huge\.png: not a readable'):
        read(tmp_path / 'huge.png')


def test_stored_values_of_a_palette_image(tmp_path):
    image = Image.fromarray(np.array([[0, 3, 255]], np.uint8))
    image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / 'a.png')
    assert read_values(tmp_path / 'a.png').tolist() == [[0, 3, 255]]


def test_grey_files_become_three_channels(tmp_path):
    path = tmp_path / 'grey.png'
    cv2.imwrite(str(path), np.full((4, 5), 9, np.uint8))
    assert read_image(str(path)).shape == (4, 5, 3)
