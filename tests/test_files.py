import json
import os
import stat

import pytest

from mmseg_uda.files import atomic_write, save_json, sha256


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
