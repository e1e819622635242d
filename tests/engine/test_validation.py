"""No validation is lost or repeated after an interruption; its metrics are its own."""

import json
import logging
import types
from pathlib import Path

import pytest
import torch
from mmengine.runner import ValLoop

from mmseg_uda.cli import run as run_experiments
from mmseg_uda.cli import train
from mmseg_uda.engine.hooks.checkpoint import VALIDATED, ExactCheckpointHook, last_validated
from mmseg_uda.files import save_json
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.engine.test_resume import assert_same
from tests.tiny_training import MAX_ITERS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread')]

BEST = 'best_mIoU.pth'
OPTIONS = ['--cfg-options', 'default_hooks.checkpoint.save_best=mIoU', 'train_cfg.val_interval=3']


@pytest.fixture(scope='module')
def unbroken(tiny_config, tmp_path_factory) -> Path:
    """A training with validations at iterations 3 and 6, and checkpoints at 2, 4 and 6."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('unbroken')
    run(tiny_config, folder)
    torch.set_num_threads(threads)
    return folder


def run(config: str, folder: Path, *more: str) -> None:
    train.main([config, '--work-dir', str(folder), '--resume', *OPTIONS, *more])


def validations(folder: Path) -> list[int]:
    """Iterations of all finished validations, over all runs."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line['step'] for line in lines if 'mIoU' in line]


@pytest.fixture
def break_off(monkeypatch):
    """Let the next validation at an iteration end the run, as if it were killed there."""

    def at(iteration: int) -> None:
        def broken(loop):
            if loop.runner.iter == iteration:
                monkeypatch.undo()
                raise KeyboardInterrupt
            return whole(loop)

        whole = ValLoop.run
        monkeypatch.setattr(ValLoop, 'run', broken)

    return at


def test_lost_last_validation_is_made_up_once(tiny_config, tmp_path, unbroken, break_off):
    break_off(MAX_ITERS)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config, tmp_path)
    assert (tmp_path / f'iter_{MAX_ITERS}.pth').exists() and validations(tmp_path) == [3]
    for _ in range(2):
        run(tiny_config, tmp_path)
        assert validations(tmp_path) == [3, MAX_ITERS]
    one, two = (load_checkpoint(folder / BEST)['meta'] for folder in (tmp_path, unbroken))
    assert (one['iter'], one['score']) == (two['iter'], two['score'])


def test_lost_validation_in_between_is_made_up_and_moves_nothing(
    tiny_config, tmp_path, unbroken, break_off
):
    more = ['default_hooks.checkpoint.interval=3']
    break_off(3)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config, tmp_path, *more)
    run(tiny_config, tmp_path, *more)
    assert validations(tmp_path) == [3, 6]
    assert_same(tmp_path / f'iter_{MAX_ITERS}.pth', unbroken / f'iter_{MAX_ITERS}.pth')


@pytest.mark.parametrize(
    ('iteration', 'validated', 'begin', 'missing'),
    [
        (3, 0, 1, True),
        (3, 3, 1, False),
        (3, 6, 1, False),  # resumed from an older checkpoint than the newest
        (4, 3, 1, False),
        (3, 0, 4, False),
        (7, 6, 1, True),  # the last iteration
    ],
)
def test_only_a_validation_that_is_due_is_missing(tmp_path, iteration, validated, begin, missing):
    loop = types.SimpleNamespace(iter=iteration, max_iters=7, val_interval=3, val_begin=begin)
    loop._decide_current_val_interval = lambda: None
    runner = types.SimpleNamespace(train_loop=loop, val_loop=object(), work_dir=tmp_path)
    save_json(tmp_path / VALIDATED, {'iteration': validated})
    hook = ExactCheckpointHook(interval=2)
    assert hook._validation_is_missing(runner) == missing
    runner.val_loop = None
    assert not hook._validation_is_missing(runner)


@pytest.mark.parametrize('content', ['', '[1]', '{"iteration": null}', '{"iter": 3}'])
def test_unreadable_note_of_the_last_validation_is_none(tmp_path, content):
    (tmp_path / VALIDATED).write_text(content)
    assert last_validated(tmp_path) == 0


def test_stage_without_its_best_checkpoint_is_completed(tiny_config, tmp_path, break_off):
    command = ['--config', tiny_config, '--work-dir', str(tmp_path), *OPTIONS]
    command[-1] = f'train_cfg.val_interval={MAX_ITERS}'
    break_off(MAX_ITERS)
    with pytest.raises(KeyboardInterrupt):
        run_experiments.main(command)
    run_experiments.main(command)
    assert load_checkpoint(tmp_path / 'train' / BEST)['meta']['iter'] == MAX_ITERS


def test_new_training_in_a_cleared_folder_has_no_validations(tiny_config, tmp_path, unbroken):
    (tmp_path / VALIDATED).write_bytes((unbroken / VALIDATED).read_bytes())
    with pytest.MonkeyPatch.context() as patch:

        def broken(*_):
            raise KeyboardInterrupt

        patch.setattr(ValLoop, 'run', broken)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_config, tmp_path, 'default_hooks.checkpoint.interval=3')
    run(tiny_config, tmp_path, 'default_hooks.checkpoint.interval=3')
    assert validations(tmp_path) == [3, 6]


def test_damaged_best_checkpoint_is_replaced(tiny_config, tmp_path, unbroken, caplog):
    for path in unbroken.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (tmp_path / BEST).read_bytes()
    (tmp_path / BEST).write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        run(tiny_config, tmp_path)
    (log,) = tmp_path.glob('*/*.log')
    assert 'WARNING' in log.read_text() and f'{tmp_path / BEST} is damaged' in log.read_text()
    # The last validation is repeated, so that there is a best checkpoint.
    assert load_checkpoint(tmp_path / BEST)['meta']['iter'] == MAX_ITERS
    assert validations(tmp_path) == [MAX_ITERS]
