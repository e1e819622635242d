"""test.sh and mmseg-uda test-work-dir: the newest undamaged checkpoint of a run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_uda.cli import test, test_work_dir, train
from mmseg_uda.errors import UserError
from tests.tiny_training import ROOT, environment, failure


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory) -> Path:
    """A work dir with the checkpoints of iterations 1 and 2."""
    folder = tmp_path_factory.mktemp('trained')
    options = ['train_cfg.max_iters=2', 'default_hooks.checkpoint.interval=1']
    train.main([tiny_config, '--work-dir', str(folder), '--cfg-options', *options])
    return folder


@pytest.fixture
def tested(monkeypatch) -> list[list[str]]:
    """Record the calls of mmseg-uda test instead of running it."""
    calls: list[list[str]] = []
    monkeypatch.setattr(test, 'main', calls.append)
    return calls


def stage(trained: Path, work_dir: Path, name: str, time: int) -> Path:
    """Folder of a training stage whose last checkpoint was written at ``time``."""
    folder = Path(shutil.copytree(trained, work_dir / name))
    for number in (1, 2):
        os.utime(folder / f'iter_{number}.pth', (time + number, time + number))
    return folder


def test_the_script_tests_the_newest_from_anywhere(trained, tmp_path):
    shutil.copytree(trained, tmp_path / 'runs/exp/train')
    done = subprocess.run(
        [str(ROOT / 'test.sh'), 'exp', '--network', 'teacher'],
        cwd=tmp_path / 'runs',
        env=environment() | {'PYTHON': sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / 'runs/exp/train'
    meta = json.loads((folder / 'test-iter_2-teacher/scores.json').read_text())['meta']
    assert meta['checkpoint'] == str(folder / 'iter_2.pth') and meta['network'] == 'teacher'
    assert len(list((folder / 'preds').rglob('*.png'))) == 3


def test_a_damaged_checkpoint_is_passed_over(trained, tmp_path, tested):
    folder = stage(trained, tmp_path, 'train', 0)
    content = (folder / 'iter_2.pth').read_bytes()
    (folder / 'iter_2.pth').write_bytes(content[: len(content) // 2])
    test_work_dir.main([str(tmp_path)])
    ((config, checkpoint, *rest),) = tested
    assert config == str(folder / 'tiny.py') and checkpoint == str(folder / 'iter_1.pth')
    assert rest == ['--eval', 'mIoU', '--show-dir', str(folder / 'preds'), '--opacity', '1']


def test_of_several_trainings_the_one_that_wrote_last_counts(trained, tmp_path, tested):
    stage(trained, tmp_path, 'source', 200)
    later = stage(trained, tmp_path, 'adaptation', 300)
    stage(trained, tmp_path, 'another', 100)
    test_work_dir.main([str(tmp_path)])
    assert tested[0][1] == str(later / 'iter_2.pth')
    test_work_dir.main([str(tmp_path / 'source')])
    assert tested[1][1] == str(tmp_path / 'source/iter_2.pth')


def test_what_cannot_be_tested_is_named(trained, tmp_path, tested, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = failure(capfd, test_work_dir.main, 'nowhere')
    assert line == f'error: work dir nowhere does not exist (looked for in {tmp_path})'
    Path('empty/test').mkdir(parents=True)
    assert 'empty and its sub-folders contain no checkpoint' in failure(
        capfd, test_work_dir.main, 'empty'
    )
    folder = stage(trained, tmp_path, 'run', 0)
    (folder / 'other.py').touch()
    with pytest.raises(UserError, match='it contains other.py, tiny.py: use mmseg-uda test'):
        test_work_dir.main(['run'])
    for name in ('other.py', 'tiny.py'):
        (folder / name).unlink()
    with pytest.raises(UserError, match='it contains none'):
        test_work_dir.main(['run'])
    assert not tested
