import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from mmseg_uda.errors import UserError
from mmseg_uda.files import sha256
from mmseg_uda.tensor_files import read_tensors
from tests.damage import flip_bit

CONTENT = {'weight': torch.arange(100.0), 'meta': {'iter': 3, 'names': ['a', 'b']}}


def read(path: Path):
    return read_tensors(path, 'fetch it again')


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(MMLogger, 'log', lambda self, level, text, *_: said.append(text))
    return said


@pytest.mark.parametrize('zipped', [True, False])
def test_what_torch_saved_is_read(tmp_path, zipped):
    path = tmp_path / 'x.pth'
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    content = read(path)
    assert torch.equal(content['weight'], CONTENT['weight']) and content['meta'] == CONTENT['meta']


def damaged(how: str, path: Path) -> None:
    data = path.read_bytes()
    if how == 'one bit':
        flip_bit(path)
    elif how == 'head':
        path.write_bytes(b'X' + data[1:])
    else:
        path.write_bytes(data[: {'empty': 0, 'short': 20, 'half': len(data) // 2}[how]])


@pytest.mark.parametrize('how', ['one bit', 'head', 'empty', 'short', 'half'])
def test_damage_is_noticed(tmp_path, how):
    path = tmp_path / 'x.pth'
    torch.save(CONTENT, path)
    damaged(how, path)
    with pytest.raises(UserError, match=r'x\.pth is damaged.*; fetch it again'):
        read(path)


@pytest.mark.parametrize('how', ['head', 'empty', 'short', 'half'])
def test_damage_to_the_structure_of_old_files_is_noticed(tmp_path, how):
    path = tmp_path / 'x.pth'
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    damaged(how, path)
    with pytest.raises(UserError, match=r'x\.pth is damaged.*; fetch it again'):
        read(path)


def test_bytes_after_the_end_of_an_old_file_are_damage(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes() + b'x')
    with pytest.raises(UserError, match='bytes after its end'):
        read(path)


@pytest.mark.parametrize('content', [b'garbage' * 100, b'<html>404</html>', pickle.dumps(CONTENT)])
def test_files_of_another_kind(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r'x\.pth is damaged or was not written by torch\.save'
    ) as e:
        read(path)
    assert 'code' not in str(e.value)


def test_missing_file_and_folder(tmp_path):
    for path, message in ((tmp_path, 'cannot be read'), (tmp_path / 'none.pth', 'does not exist')):
        with pytest.raises(UserError, match=f'{path} {message}'):
            read(path)


class Poison:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_does_not_run(tmp_path, zipped):
    path, flag = tmp_path / 'x.pth', tmp_path / 'ran'
    torch.save({'x': Poison(flag)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r'x\.pth is not loaded.*mkdir') as error:
        read(path)
    assert not flag.exists() and 'weights_only' not in str(error.value)


@pytest.mark.parametrize('numpy', [1, 2])
def test_numbers_of_numpy_are_read(tmp_path, numpy):
    """NumPy 1 pickled them under another name of its module."""
    new, path = tmp_path / 'new.pth', tmp_path / 'x.pth'
    content = {'mIoU': np.float64(0.5), 'iter': np.int64(7), 'mean': np.arange(3, dtype=np.float32)}
    torch.save(content, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(path, 'w') as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith('data.pkl'):
                assert b'cnumpy._core.multiarray\n' in data
                data = data.replace(b'cnumpy._core.', b'cnumpy.core.') if numpy == 1 else data
            target.writestr(item, data)
    found = read(path)
    assert found['mIoU'] == 0.5 and found['iter'] == 7
    np.testing.assert_array_equal(found['mean'], content['mean'])


def test_old_files_are_checked_against_the_checksum_in_their_name(tmp_path, warnings):
    path = tmp_path / 'x.pth'
    torch.save(CONTENT, path, _use_new_zipfile_serialization=False)
    read(path)
    assert len(warnings) == 1 and 'x.pth, written by torch before 1.6, has no' in warnings[0]
    stated = path.rename(tmp_path / f'net-{sha256(path)[:8]}.pth')
    read(stated)
    assert len(warnings) == 1
    data = bytearray(stated.read_bytes())
    data[-50] ^= 1  # in the tensor
    stated.write_bytes(data)
    read(stated)
    assert 'does not have the SHA-256 in its name' in warnings[1]


def test_files_with_checksums_are_read_without_a_warning(tmp_path, warnings):
    torch.save(CONTENT, tmp_path / 'net-00000000.pth')
    read(tmp_path / 'net-00000000.pth')
    assert not warnings
