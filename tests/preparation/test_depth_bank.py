"""Building a bank, interruption and resume, and opening it."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_uda.datasets.bank_source import bank_fingerprint
from mmseg_uda.datasets.depth import depth_counts
from mmseg_uda.datasets.depth_bank import DepthBank, write_counts
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from mmseg_uda.preparation import depth_bank as make_depth_bank
from mmseg_uda.preparation.depth_bank import make_bank
from tests.damage import flip_bit
from tests.preparation.conftest import ROWS, same_counts
from tests.tiny_training import failure


def test_rows_are_the_training_samples(config, bank):
    dataset = SourceTargetDataset(**config, source_depth=True)
    assert len(bank) == ROWS and bank.crop_size == (64, 96) and bank.num_classes == 19
    assert bank.counts.shape == (19, ROWS, 256) and bank.counts.dtype == np.float32
    assert isinstance(bank.counts, np.memmap) and bank.counts.flags.c_contiguous
    flips = np.load(bank.path / 'rows.npz')['flip']
    assert 0 < flips.sum() < ROWS
    for row in range(0, ROWS, 3):
        (sample,) = dataset[row]['source']
        image, label = bank.crop(row)
        assert torch.equal(image, sample['image']) and torch.equal(label, sample['label'])
        counts = depth_counts(label.numpy(), sample['depth'].numpy(), 19)
        assert np.array_equal(bank.counts[:, row], counts)


def test_padded_crops_are_cut_alike(config, tmp_path):
    config['source']['pipeline'][0]['crop_size'] = (96, 176)  # images are 80 x 160
    bank = make_bank(config, tmp_path / 'bank', 6, nproc=1)
    dataset = SourceTargetDataset(**config)
    for row in range(6):
        (sample,) = dataset[row]['source']
        image, label = bank.crop(row)
        assert torch.equal(image, sample['image']) and torch.equal(label, sample['label'])


def test_processes_change_nothing(config, bank, tmp_path):
    make_bank(config, tmp_path / 'two', ROWS, nproc=2)
    assert same_counts(bank.path, tmp_path / 'two')


def test_processes_do_not_wait_for_the_threads_of_their_parent(config, tmp_path):
    script = f"""
import cv2, numpy as np
from mmengine.registry import init_default_scope
import mmseg_uda.register
from mmseg_uda.preparation.depth_bank import make_bank
init_default_scope('mmseg')
cv2.setNumThreads(4)
cv2.resize(np.zeros((4000, 4000, 3), np.uint8), (2000, 2000))  # wakes the threads
make_bank({config!r}, {str(tmp_path / 'two')!r}, {ROWS}, nproc=2)
assert cv2.getNumThreads() == 4
"""
    subprocess.run([sys.executable, '-c', script], capture_output=True, check=True, timeout=120)


def test_default_rows_and_opening_again(config, bank, tmp_path):
    assert len(make_bank(config, tmp_path / 'all', nproc=1)) == 8  # images of the source
    changed = (bank.path / 'counts.npy').stat().st_mtime_ns
    again = make_bank(config, bank.path, ROWS, nproc=1)
    assert (bank.path / 'counts.npy').stat().st_mtime_ns == changed and len(again) == ROWS
    assert sorted(os.listdir(bank.path)) == ['bank.json', 'counts.npy', 'rows.npz']


def test_a_killed_run_goes_on(config, bank, tmp_path):
    """The process is killed when it starts the second part."""
    out = tmp_path / 'killed'
    script = f"""
import os
from mmengine.registry import init_default_scope
import mmseg_uda.register
from mmseg_uda.preparation import depth_bank as make_depth_bank
init_default_scope('mmseg')
whole = make_depth_bank._Parts._row
def row(self, number):
    if number == 35:
        os.kill(os.getpid(), 9)
    return whole(self, number)
make_depth_bank._Parts._row = row
make_depth_bank.make_bank({config!r}, {str(out)!r}, {ROWS}, nproc=1)
"""
    died = subprocess.run([sys.executable, '-c', script], capture_output=True, check=False)
    assert died.returncode == -9
    assert [path.name for path in (out / 'parts').glob('*.npz')] == ['000000.npz']
    with pytest.raises(UserError, match='unfinished'):
        DepthBank.open(out)
    kept = (out / 'parts/000000.npz').stat().st_mtime_ns
    rows = []
    original = make_depth_bank._Parts._row

    def counted(self, row):
        rows.append(row)
        assert (out / 'parts/000000.npz').stat().st_mtime_ns == kept
        return original(self, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_depth_bank._Parts, '_row', counted)
        make_bank(config, out, ROWS, nproc=1)
    assert rows == list(range(32, ROWS))
    assert same_counts(bank.path, out)
    assert not (out / 'parts').exists()


def test_a_killed_worker_is_said(config, tmp_path, monkeypatch):
    monkeypatch.setattr(make_depth_bank._Parts, '_row', lambda *_: os.kill(os.getpid(), 9))
    with pytest.raises(UserError, match='a process was killed.*--nproc'):
        make_bank(config, tmp_path / 'bank', ROWS, nproc=2)


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_before_the_counts_are_mapped(tmp_path, monkeypatch):
    """Writing to a memory map on a full disk kills the process with SIGBUS."""
    monkeypatch.setattr(os, 'posix_fallocate', refuse)
    monkeypatch.setattr(np, 'memmap', None)
    with pytest.raises(UserError, match=r'cannot write .*counts\.npy: No space left'):
        write_counts(tmp_path / 'counts.npy', (2, 3, 256), [np.zeros((2, 3, 256), np.float32)])
    assert not os.listdir(tmp_path)


def test_a_full_disk_in_a_worker_is_one_line(config, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(os, 'fsync', refuse)
    monkeypatch.setattr(make_depth_bank, 'save_record', lambda *_: None)
    line = failure(capfd, lambda _: make_bank(config, tmp_path / 'bank', ROWS, nproc=2))
    assert line.startswith(f'error: cannot write {tmp_path}/bank/parts/0000')
    assert 'No space left on device; free space' in line


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: c['source']['pipeline'][0].update(crop_size=(64, 64)), 'crop_size'),
        (lambda c: c['source']['pipeline'][0].update(scale=(128, 64)), 'scale'),
        (lambda c: c['source']['pipeline'][1].update(prob=0.1), r'flip: 0\.5 -> 0\.1'),
        (lambda c: c['rare_class_sampling'].update(class_temp=1.0), 'class_temp'),
        (lambda c: c.update(seed=6), 'seed: 5 -> 6'),
    ],
)
def test_other_settings_are_refused(config, bank, change, said):
    before = (bank.path / 'bank.json').read_bytes()
    change(config)
    with pytest.raises(UserError, match=f'made with other settings: .*{said}'):
        make_bank(config, bank.path, ROWS, nproc=1)
    assert (bank.path / 'bank.json').read_bytes() == before


def test_more_rows_are_refused(config, bank):
    with pytest.raises(UserError, match='rows: 40 -> 41'):
        make_bank(config, bank.path, ROWS + 1, nproc=1)


def test_check(config, bank):
    bank.check((64, 96), 19)
    training = SourceTargetDataset(**config | dict(seed=9))
    bank.check((64, 96), 19, bank_fingerprint(training, rows=3))
    with pytest.raises(UserError, match=r'crop_size: \[64, 96\] -> \[512, 512\]'):
        bank.check((512, 512), 19)
    with pytest.raises(UserError, match='num_classes: 19 -> 16'):
        bank.check((64, 96), 16)
    config['source']['pipeline'][0]['cat_max_ratio'] = 0.5
    with pytest.raises(UserError, match=r'cat_max_ratio: 0\.75 -> 0\.5'):
        bank.check((64, 96), 19, bank_fingerprint(SourceTargetDataset(**config)))


def test_the_fingerprint_is_that_of_existing_banks(config, bank, world):
    """It is compared with ``bank.json`` of banks that earlier versions made."""
    expected = {
        'source.type': 'GTADataset',
        'source.data_prefix': {'img_path': 'images', 'seg_map_path': 'labels'},
        'source.depth_dir': 'depth_any',
        'source.files': '8, 3d08b4df6c82ea63d6a272d817ee32f4dd4c9983a6d42f3066294a6631d5da8b',
        'rare_class_sampling': {'class_temp': 0.1, 'min_pixels': 0},
        'scale': [160, 80],
        'crop_size': [64, 96],
        'cat_max_ratio': 0.75,
        'flip': 0.5,
        'num_classes': 19,
        'seed': 5,
        'rows': ROWS,
    }
    assert json.loads((bank.path / 'bank.json').read_text())['fingerprint'] == expected
    config['rare_class_sampling']['data_root'] = str(world / 'gta')
    for source in (config['source'], [config['source'] | dict(weight=2)]):
        training = SourceTargetDataset(**config | dict(source=source))
        assert bank_fingerprint(training, ROWS) == expected


def test_a_bank_is_of_one_data_set(config, tmp_path):
    config['source'] = [config['source']] * 2
    with pytest.raises(UserError, match='CDDA needs one source data set, source is a list of 2'):
        make_bank(config, tmp_path / 'bank')
    assert not (tmp_path / 'bank').exists()


def test_sources_that_make_no_bank(config, tmp_path):
    steps = config['source']['pipeline']
    config['source']['pipeline'] = [steps[0], dict(type='PhotoMetricDistortion'), steps[-1]]
    with pytest.raises(UserError, match='PhotoMetricDistortion'):
        make_bank(config, tmp_path / 'bank')
    config['source']['pipeline'] = steps
    with pytest.raises(UserError, match='0 rows'):
        make_bank(config, tmp_path / 'bank', rows=0)
    del config['source']['depth_dir']
    with pytest.raises(UserError, match='depth_dir'):
        make_bank(config, tmp_path / 'bank')
    assert not (tmp_path / 'bank').exists()


def test_no_flip(config, tmp_path):
    del config['source']['pipeline'][1]
    bank = make_bank(config, tmp_path / 'bank', 2, nproc=1)
    assert not np.load(bank.path / 'rows.npz')['flip'].any()


def test_damaged_banks(config, bank, tmp_path):
    with pytest.raises(UserError, match='no bank'):
        DepthBank.open(tmp_path)
    record = json.loads((bank.path / 'bank.json').read_text())
    (bank.path / 'bank.json').write_text(json.dumps({**record, 'data_root': '/moved'}))
    with pytest.raises(UserError, match=r'cut from /moved/images/.*is missing'):
        DepthBank.open(bank.path)
    (bank.path / 'bank.json').write_text(json.dumps({**record, 'schema': 9}))
    with pytest.raises(UserError, match=r'bank\.json has schema 9'):
        DepthBank.open(bank.path)
    (bank.path / 'bank.json').write_text('{')
    with pytest.raises(UserError, match=r'bank\.json is not the record of a bank'):
        DepthBank.open(bank.path)
    (bank.path / 'bank.json').write_text(json.dumps(record))
    for content in (b'', b'PK', b'PK\x03\x04' + bytes(99)):
        (bank.path / 'rows.npz').write_bytes(content)
        with pytest.raises(UserError, match=r'rows\.npz: damaged'):
            DepthBank.open(bank.path)


def foreign(path: Path) -> None:
    with open(path, 'wb') as file:
        np.savez(file, a=np.zeros(3))


@pytest.mark.parametrize('schema', [True, False], ids=['with checksum', 'of before'])
@pytest.mark.parametrize('damage', [lambda p: p.write_bytes(b''), foreign, flip_bit])
def test_damaged_counts(bank, damage, schema):
    counts = bank.path / 'counts.npy'
    if not schema:
        record = json.loads((bank.path / 'bank.json').read_text())
        del record['schema'], record['counts_sha256']
        (bank.path / 'bank.json').write_text(json.dumps(record | {'format': 1}))
        assert len(DepthBank.open(bank.path)) == ROWS
    damage(counts)
    if damage is flip_bit and not schema:
        assert len(DepthBank.open(bank.path)) == ROWS  # undetectable
        return
    with pytest.raises(UserError, match=r'counts\.npy: damaged .*remove it'):
        DepthBank.open(bank.path)


def test_damaged_counts_are_made_again_when_removed(config, bank):
    counts = bank.path / 'counts.npy'
    before = counts.read_bytes()
    flip_bit(counts)
    with pytest.raises(UserError, match='checksum'):
        make_bank(config, bank.path, ROWS, nproc=1)
    counts.unlink()
    make_bank(config, bank.path, ROWS, nproc=1)
    assert counts.read_bytes() == before


def test_counts_without_their_checksum_are_unfinished(config, bank):
    """The process is killed after writing the counts."""
    record = json.loads((bank.path / 'bank.json').read_text())
    assert record['schema'] == 1
    checksum = record.pop('counts_sha256')
    (bank.path / 'bank.json').write_text(json.dumps(record))
    with pytest.raises(UserError, match='unfinished'):
        DepthBank.open(bank.path)
    make_bank(config, bank.path, ROWS, nproc=1)
    assert json.loads((bank.path / 'bank.json').read_text())['counts_sha256'] == checksum


def test_crops_are_added_to_a_bank_without_them(config, bank):
    make_bank(config, bank.path, ROWS, nproc=1, crops=True)
    assert len(os.listdir(bank.path / 'images')) == ROWS
