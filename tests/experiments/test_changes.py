"""Stages with changed settings, inputs or outputs are refused."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.state import state_of
from tests.experiments.runs import experiment, run, run_with_failing_training


@pytest.mark.parametrize('stop_at', [None, 2], ids=['finished', 'interrupted'])
def test_changed_config_is_refused_with_the_difference(trainings, stop_at):
    trainings.stop_at = stop_at
    with suppress(KeyboardInterrupt):
        run()
    trained = list(trainings.runs)
    with pytest.raises(UserError) as error:
        run(overrides={'optim_wrapper.optimizer.lr': 0.01})
    assert 'config.optim_wrapper.optimizer.lr: 0.001 -> 0.01' in str(error.value)
    assert 'delete out/first' in str(error.value)
    assert trainings.runs == trained


def test_other_seed_and_process_count_are_refused(trainings):
    run()
    with pytest.raises(UserError, match='seed: 0 -> 1'):
        run(seed=1)
    with pytest.raises(UserError, match='processes: 1 -> 2'):
        run(processes=2)


def test_settings_that_change_no_result_are_not_compared(trainings):
    run()
    run(
        overrides={
            'train_dataloader.num_workers': 4,
            'default_hooks.logger.interval': 1,
            'train_cfg.val_interval': 1,
        }
    )
    assert len(trainings.runs) == 2


def test_a_stage_that_failed_before_its_first_checkpoint_may_change(trainings, monkeypatch):
    run_with_failing_training(monkeypatch)
    run(overrides={'optim_wrapper.optimizer.lr': 0.01})
    assert trainings.runs == [('first', 0, 4), ('second', 0, 4)]


def test_vanished_output_is_refused(trainings):
    run()
    Path('out/first/iter_4.pth').unlink()
    with pytest.raises(UserError, match=r'output checkpoint .*iter_4.pth\) is gone'):
        run()


def test_changed_input_is_refused(trainings):
    run()
    record = json.loads(Path('out/first/stage.json').read_text())
    Path('out/first/iter_4.pth').write_text('other weights')
    del record['outputs']['checkpoint']
    Path('out/first/stage.json').write_text(json.dumps(record))
    with pytest.raises(UserError, match='stage second: its input first.checkpoint .* has changed'):
        run()


def test_touched_but_equal_file_is_no_change(trainings):
    run()
    Path('out/first/iter_4.pth').touch()
    assert all('done already' in line for line in run())


def test_a_moved_work_dir_stays_valid(trainings):
    run()
    Path('out').rename('elsewhere')
    plan = Plan(experiment(), 'elsewhere')
    assert [state_of(plan, stage).status for stage in experiment().stages] == ['done'] * 3


def test_checkpoints_of_unknown_origin_are_refused(trainings):
    Path('out/first').mkdir(parents=True)
    Path('out/first/iter_2.pth').write_text('whose?')
    with pytest.raises(UserError, match='iter_2.pth exists without the stage.json'):
        run()


def test_damaged_record_is_named(trainings):
    Path('out/first').mkdir(parents=True)
    record = Path('out/first/stage.json')
    record.write_text('{"name": ')
    with pytest.raises(UserError, match='out/first/stage.json is not the record'):
        run()
    record.unlink()
    record.mkdir()
    with pytest.raises(UserError, match='stage.json is not the record of a stage .Is a directory'):
        run()
