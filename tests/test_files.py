import errno
import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_uda.errors import UserError
from mmseg_uda.files import (
    atomic_write,
    load_record,
    remove_temporary_files,
    save_json,
    save_record,
    sha256,
)


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'x.txt'
    with atomic_write(path, 'w') as file:
        file.write('whole')
        assert not path.exists()
    assert path.read_text() == 'whole'
    assert os.listdir(path.parent) == ['x.txt']


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('old')
    with pytest.raises(ValueError, match='half way'), atomic_write(path, 'w') as file:
        file.write('new')
        raise ValueError('half way')
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['x.txt']


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / 'plain').touch()
    save_json(tmp_path / 'x.json', {'a': [1]})
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'x.json')]
    assert modes[0] == modes[1]
    assert json.loads((tmp_path / 'x.json').read_text()) == {'a': [1]}


def test_checksum(tmp_path):
    (tmp_path / 'x').write_bytes(b'')
    assert sha256(tmp_path / 'x').startswith('e3b0c44298fc1c14')


def test_the_umask_of_the_process_is_left_alone(tmp_path, monkeypatch):
    """Other threads would create files with the changed mask."""

    def changed(_):
        raise AssertionError('the umask was changed')

    monkeypatch.setattr(os, 'umask', changed)
    save_json(tmp_path / 'x.json', [])
    assert (tmp_path / 'x.json').exists()


def full_disk(code: int):
    """Replaces ``open``: nothing can be written to its files."""

    class Full(io.FileIO):
        def write(self, _):
            raise OSError(code, os.strerror(code))

    return lambda path, mode: Full(path, mode.replace('b', ''))


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize(
    'save', [lambda file: file.write(b'new'), lambda file: torch.save(1, file)]
)
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, monkeypatch, code, save):
    path = tmp_path / 'x.pth'
    path.write_bytes(b'old')
    monkeypatch.setattr('mmseg_uda.files.open', full_disk(code), raising=False)
    message = f'cannot write {path}: {os.strerror(code)}; '
    with pytest.raises(UserError, match=re.escape(message)), atomic_write(path) as file:
        save(file)
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['x.pth']


@pytest.mark.parametrize('code', [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch, code):
    def refuse(path, *_):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr('mmseg_uda.files.open', refuse, raising=False)
    with pytest.raises(UserError, match=f'cannot write .*x.json: {os.strerror(code)}; '):
        save_json(tmp_path / 'x.json', [])


def test_a_file_that_cannot_be_read_is_not_taken_for_the_one_being_written(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / 'x') as file:
        file.write((tmp_path / 'source').read_bytes())


def test_what_killed_runs_left_is_removed(tmp_path):
    left = ['.x.pth.0123456789abcdef.tmp', 'sub/.y.png.k3_zabcd.tmp']
    kept = ['x.pth', '.hidden', 'x.tmp', '.note.tmp', 'locked/.lock', 'locked/.z.0123abcd.tmp']
    for name in left + kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    there = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()]
    assert sorted(there) == sorted(kept)


def load(path: Path) -> dict | None:
    return load_record(path, 'the record of a bank', 'make it again', keys=['rows'])


def test_records(tmp_path):
    path = tmp_path / 'x.json'
    assert load(path) is None and load(path / 'below') is None
    save_record(path, {'rows': 3})
    assert load(path) == json.loads(path.read_text()) == {'schema': 1, 'rows': 3}
    save_json(path, {'rows': 3})  # from before the schema
    assert load(path) == {'rows': 3}
    save_json(path, {'schema': 2, 'rows': 3})
    with pytest.raises(UserError, match=r'x\.json has schema 2, .* up to 1: update mmseg-uda'):
        load(path)


@pytest.mark.parametrize(
    'content', [b'', b'{', b'[]', b'3', b'\xff', b'{"a": 1}', b'{"rows": 1, "schema": "x"}', None]
)
def test_files_that_are_no_records(tmp_path, content):
    path = tmp_path / 'x.json'
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r'x\.json is not the record of a bank .*; make it again'):
        load(path)


def test_a_lock_that_cannot_be_written_is_said(tmp_path):
    script = (
        'import resource, pathlib; from mmseg_uda.files import exclusive\n'
        'from mmseg_uda.errors import run_cli\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n'
        f'run_cli(lambda: exclusive(pathlib.Path({str(tmp_path)!r})).__enter__())'
    )
    done = subprocess.run(
        [sys.executable, '-c', script],
        capture_output=True,
        text=True,
        check=False,
        env={'PYTHONPATH': str(Path(__file__).parents[1])},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: cannot write {tmp_path}/.lock: File too large; ')
