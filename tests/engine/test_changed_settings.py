"""A resume with other settings is refused, or accepted with ``--accept-changes``."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from mmseg_uda.cli import train
from mmseg_uda.engine.resume import check_settings
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.records import RECORD, read_record
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.files import save_json
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.engine.test_resume import assert_same
from tests.tiny_training import MAX_ITERS, write_config

pytestmark = pytest.mark.usefixtures('one_thread')

LAST = f'iter_{MAX_ITERS}.pth'
RATE = 'optim_wrapper.optimizer.lr'


def run(config: str, folder: Path, *options: str, flags: tuple[str, ...] = ('--resume',)) -> None:
    train.main([config, '--work-dir', str(folder), *flags, '--cfg-options', *options])


def rates(folder: Path) -> dict[int, float]:
    """Learning rates by iteration of the last run in a folder."""
    log = max(folder.glob('*/vis_data/scalars.json'), key=lambda path: path.stat().st_mtime_ns)
    lines = map(json.loads, log.read_text().splitlines())
    return {line['step']: line['lr'] for line in lines if 'loss' in line}


@pytest.fixture(scope='module')
def old(tiny_config, tmp_path_factory) -> Path:
    """Work dir of a training with the config's learning rate."""
    folder = tmp_path_factory.mktemp('old')
    run(tiny_config, folder, 'train_dataloader.num_workers=0')
    return folder


@pytest.fixture
def half(old, tmp_path) -> Path:
    """Another work dir with the checkpoint of iteration 4."""
    shutil.copy(old / 'iter_4.pth', tmp_path)
    return tmp_path


def test_changed_rate_is_refused_and_leaves_all_as_it_is(tiny_config, half):
    before = (half / 'iter_4.pth').read_bytes()
    message = (
        rf'^{half}/iter_4\.pth was trained with other settings: config\.{RATE}: 0\.002 -> 0\.5\. '
        r'Restore the old settings, choose another --work-dir, or add --accept-changes'
    )
    with pytest.raises(UserError, match=message):
        run(tiny_config, half, f'{RATE}=0.5')
    assert [path.name for path in half.glob('*.pth')] == ['iter_4.pth']
    assert (half / 'iter_4.pth').read_bytes() == before


def test_another_method_is_refused(world, half, tmp_path):
    more = "model['addons']['mic'] = dict(type='MaskedConsistency', block_size=16)\n"
    with pytest.raises(
        UserError, match=r"config\.model\.addons\.mic\.type: \(not set\) -> 'Masked"
    ):
        run(write_config(tmp_path / 'mic.py', world, more), half, f'{RATE}=2e-3')


def test_what_changes_no_result_is_accepted(tiny_config, old, half):
    """Another work dir, number of workers, log and checkpoint interval."""
    run(
        tiny_config,
        half,
        'train_dataloader.num_workers=1',
        'default_hooks.logger.interval=3',
        'default_hooks.checkpoint.interval=5',
        'train_cfg.val_interval=3',
        'log_level=WARNING',
    )
    assert_same(half / LAST, old / LAST)


@pytest.mark.slow
def test_accepted_changes_take_effect(tiny_config, old, half, tmp_path_factory):
    """Rate, decay and schedule are those of a run started with the new config."""
    new = [f'{RATE}=3e-4', 'optim_wrapper.optimizer.weight_decay=0.5', 'param_scheduler.1.power=2']
    run(tiny_config, half, *new, flags=('--resume', '--accept-changes'))
    whole = tmp_path_factory.mktemp('whole')
    run(tiny_config, whole, *new)
    resumed, expected = rates(half), rates(whole)
    assert list(resumed) == [5, 6] and resumed == {i: expected[i] for i in resumed}
    assert resumed[5] != rates(old)[5]
    (log,) = half.glob('*/*.log')
    assert f'config.{RATE}: 0.002 -> 0.0003' in log.read_text()
    one, two = (load_checkpoint(folder / LAST)['optimizer'] for folder in (half, whole))
    assert one['param_groups'] == two['param_groups']
    assert one['state'][0]['step'] == two['state'][0]['step'] == MAX_ITERS
    # the next resume compares with the new settings
    (half / LAST).unlink()
    with pytest.raises(UserError, match=RATE):
        shutil.copy(half / 'iter_4.pth', half / 'iter_5.pth')
        run(tiny_config, half, *new)


META = {'config': {'model': {'type': 'DAFormer', 'size': [1, 2]}}, 'processes': 2}


def test_processes_are_compared():
    with pytest.raises(UserError, match=r'a\.pth was trained with other .*: processes: 2 -> 4\. '):
        check_settings(Path('a.pth'), META, META | {'processes': 4}, accept=False)
    assert check_settings(Path('a.pth'), META, META, accept=False) == []


def test_long_lists_of_differences_are_cut():
    now = META | {'config': {f'key{number}': number for number in range(20)}}
    with pytest.raises(UserError, match='; and 12 more. Restore'):
        check_settings(Path('a.pth'), META, now, accept=False)


def test_checkpoint_without_settings_is_said_to_be_not_compared(caplog):
    with caplog.at_level(logging.WARNING):
        assert check_settings(Path('a.pth'), {'config': 'text'}, META, accept=False) == []


@pytest.mark.slow
def test_moved_experiment_goes_on(tiny_config, tmp_path):
    """The path of an earlier stage's checkpoint moves with the work dir; the plan accepts this."""
    options = {'load_from': '{first.checkpoint}'}
    stages = Stage('first', tiny_config), Stage('second', tiny_config, options=options)
    short = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 9}

    def run_in(folder: Path) -> None:
        plan = Plan(Experiment(None, 'moved', stages), folder, overrides=short)
        StageRunner(plan, say=lambda _: None).run()

    run_in(tmp_path / 'one')
    (tmp_path / 'one').rename(tmp_path / 'two')
    folder = tmp_path / 'two/second'
    (folder / 'iter_3.pth').unlink()
    save_json(folder / RECORD, read_record(folder) | {'finished': None, 'outputs': {}})
    run_in(tmp_path / 'two')
    assert (folder / 'iter_3.pth').exists()
