"""The wheel in an empty environment and an empty folder: the table, a plan, a shortened demo."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHORT = (
    'train_cfg.max_iters=20',
    'train_cfg.val_interval=20',
    'param_scheduler.0.warmup_iters=5',
)

pytestmark = pytest.mark.slow


def run(*command, cwd: Path, **environment: str) -> str:
    """Run a command outside the repository; return its output."""
    keep = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(
        [str(addon) for addon in command],
        cwd=cwd,
        env=keep | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def command(tmp_path_factory) -> Path:
    """``mmseg-uda`` of an environment with only the wheel and its requirements."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    ignore = shutil.ignore_patterns('.git', '.venv', 'build', '*.egg-info', 'data', 'work_dirs')
    shutil.copytree(ROOT, source, ignore=ignore)
    run(sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-w', folder, source, cwd=folder)
    (wheel,) = folder.glob('*.whl')
    run(sys.executable, '-m', 'venv', folder / 'venv', cwd=folder)
    pip = [folder / 'venv/bin/python', '-m', 'pip', 'install', '--constraint']
    run(*pip, ROOT / 'constraints.txt', wheel, cwd=folder)
    return folder / 'venv/bin/mmseg-uda'


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    return tmp_path


def test_list_and_plan_need_no_file(command, empty):
    assert 'demo' in run(command, 'list', cwd=empty)
    plan = run(command, 'run', '--exp', '0', '--dry-run', cwd=empty)
    assert 'train configs/toy/daformer_mitb0_toy_game2city.py' in plan
    assert not list(empty.iterdir())


def test_demo_and_two_processes(command, empty):
    table = run(command, 'run', '--exp', '0', '--cfg-options', *SHORT, cwd=empty)
    assert 'test_self_training' in table
    assert (empty / 'work_dirs/demo/seed0/report/comparison.png').is_file()
    two = ['run', '--exp', '110', '--gpus', '2', '--work-dir', 'two', '--cfg-options', *SHORT]
    run(command, *two, cwd=empty)
    assert (empty / 'two/train/iter_20.pth').is_file()
