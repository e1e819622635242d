"""CDDA's bank in the published form."""

import os

import cv2
import numpy as np
import pytest
import torch

from mmseg_uda.datasets.depth import depth_counts
from mmseg_uda.datasets.published_depth_bank import open_published_bank
from mmseg_uda.errors import UserError
from mmseg_uda.preparation.depth_bank import make_bank, write_matrix
from tests.damage import flip_bit
from tests.preparation.conftest import ROWS, same_counts


@pytest.fixture
def published(config, tmp_path):
    """A bank and its published form: (bank, matrix, images, labels)."""
    bank = make_bank(config, tmp_path / 'published', ROWS, nproc=1, crops=True)
    matrix = tmp_path / 'published/gta_40_distribution.pth'
    write_matrix(bank, matrix)
    return bank, matrix, tmp_path / 'published/images', tmp_path / 'published/labels'


def test_published_form(published, bank):
    made, matrix, images, labels = published
    assert same_counts(bank.path, made.path)
    stored = torch.load(matrix, weights_only=True)
    assert stored.shape == (ROWS, 19, 256) and stored.dtype == torch.float32
    for row in (0, 17, 39):
        label, depth = (
            cv2.imread(str(made.path / name / f'{row}.png'), cv2.IMREAD_UNCHANGED)
            for name in ('labels', 'depth')
        )
        assert label.dtype == depth.dtype == np.uint8 and label.ndim == depth.ndim == 2
        assert np.array_equal(stored[row].numpy(), depth_counts(label, depth, 19))
    assert len(os.listdir(images)) == len(os.listdir(labels)) == ROWS


def test_published_form_is_read(published):
    made, *files = published
    read = open_published_bank(*files)
    assert np.array_equal(read.counts, made.counts) and isinstance(read.counts, np.memmap)
    assert read.crop_size == (64, 96) and len(read) == ROWS
    read.check((64, 96), 19)
    for row in (0, 17, 39):
        assert all(torch.equal(a, b) for a, b in zip(read.crop(row), made.crop(row), strict=True))
    converted = files[0].with_suffix('.counts.npy')
    written = converted.stat().st_mtime_ns
    open_published_bank(*files)
    assert converted.stat().st_mtime_ns == written


def test_converted_counts_follow_their_matrix(published):
    made, *files = published
    open_published_bank(*files)
    flip_bit(files[0].with_suffix('.counts.npy'))
    assert np.array_equal(open_published_bank(*files).counts, made.counts)
    before = files[0].stat()
    torch.save(torch.load(files[0], weights_only=True).flip(1), files[0])
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))  # an older file
    assert np.array_equal(open_published_bank(*files).counts, made.counts[::-1])
    flip_bit(files[0])
    with pytest.raises(UserError, match=r'distribution\.pth is damaged .checksum'):
        open_published_bank(*files)


def test_published_forms_that_do_not_fit(published, tmp_path):
    _, matrix, images, labels = published
    with pytest.raises(UserError, match=r'gta\.pth: not found'):
        open_published_bank(tmp_path / 'gta.pth', images, labels)
    stored = torch.load(matrix, weights_only=True)
    torch.save(stored[..., :100], tmp_path / 'narrow.pth')
    with pytest.raises(UserError, match=r'narrow\.pth: .*256'):
        open_published_bank(tmp_path / 'narrow.pth', images, labels)
    torch.save(stored.flip(0), tmp_path / 'other.pth')
    with pytest.raises(UserError, match='row 0 does not count'):
        open_published_bank(tmp_path / 'other.pth', images, labels)
    (images / '7.png').unlink()
    with pytest.raises(UserError, match=r'7\.png is missing'):
        open_published_bank(matrix, images, labels)
    (tmp_path / 'text.pth').write_text('no tensor')
    with pytest.raises(UserError, match=r'text\.pth is damaged or was not'):
        open_published_bank(tmp_path / 'text.pth', images, labels)
