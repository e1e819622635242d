"""Records of stages, a work dir and checkpoints of an earlier version are read.

``tests/data/earlier`` is a run of ``tiny.py`` with the version before ``uda/methods`` and
``experiments`` existed: self-training with MIC, two iterations on the tiny toy world.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

import mmseg_uda
from mmseg_uda.cli import run, train
from mmseg_uda.config import with_current_options
from mmseg_uda.experiments.earlier import CALLS, current_settings
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.tiny_training import make_world

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.mark.parametrize('old', CALLS)
def test_old_calls_are_read_as_todays(old):
    now = {'kind': 'command', 'call': CALLS[old], 'options': {'root': '{a.b}'}}
    assert current_settings({'kind': 'command', 'call': old, 'options': {'argv': []}}, now) == now


def test_other_settings_stay_as_they_are():
    now = {'kind': 'command', 'call': 'a:b', 'options': {}}
    other = next(iter(CALLS))
    for recorded in ({'kind': 'train'}, {'call': 'a:b', 'options': {'x': 1}}, {'call': other}):
        assert current_settings(recorded, now) == recorded


def test_precision_was_not_named():
    recorded = {'kind': 'train', 'config': {'a': 1}}
    now = {'kind': 'train', 'config': {'a': 1, 'precision': 'high'}}
    assert current_settings(recorded, now)['config'] == {'precision': 'highest', 'a': 1}
    assert current_settings(recorded, recorded) == recorded


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Path:
    shutil.copytree(Path(__file__).parents[1] / 'data/earlier', tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_finished_stages_are_taken_as_done(earlier, capsys):
    run.main(['--config', 'tiny.py', '--work-dir', 'run', '--dry-run'])
    shown = capsys.readouterr().out
    assert shown.count('status: done') == 2 and 'refused' not in shown


def test_its_settings_are_compared(earlier, capsys):
    changed = ['--cfg-options', 'model.alpha=0.5']
    run.main(['--config', 'tiny.py', '--work-dir', 'run', '--dry-run', *changed])
    assert 'config.model.alpha: 0.99 -> 0.5' in capsys.readouterr().out


@pytest.mark.parametrize('network', ['student', 'teacher', 'mic_teacher'])
def test_its_checkpoint_predicts(earlier, network):
    model = mmseg_uda.load('run', network=network, device='cpu')
    image = np.random.default_rng(0).integers(0, 256, (40, 72, 3), np.uint8)
    labels = model.predict(image)
    assert labels.shape == (40, 72) and labels.dtype == np.uint8 and labels.max() < 19
    assert model.classes[0] == 'road' and model.palette[0] == [128, 64, 128]


def test_its_checkpoint_is_resumed(earlier):
    make_world(earlier / 'world')
    more = ['--cfg-options', 'train_cfg.max_iters=3']
    train.main(['tiny.py', '--work-dir', 'run/train', '--resume', *more])
    assert load_checkpoint('run/train/iter_3.pth')['meta']['iter'] == 3


def test_options_of_its_configs_are_read_as_todays():
    parts = dict(
        cdda=dict(type='CDDA', reweight_mask='first_row', guidance_switch='last'), mic=None
    )
    old = {'model': {'type': 'SelfTraining', 'parts': parts, 'addons': {'mic': {'ratio': 0.5}}}}
    now = with_current_options(old)
    addons = {'cdda': {'type': 'CDDA', 'as_published': True}, 'mic': None}
    assert now == {'model': {'type': 'SelfTraining', 'addons': addons}}
    assert 'parts' in old['model']  # not modified
    assert with_current_options(now) is now
