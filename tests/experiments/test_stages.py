"""Stages run in order; finished ones are skipped, interrupted ones resumed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.overview import describe, scores
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.files import exclusive
from tests.experiments.runs import experiment, held, run


def test_stages_run_in_order_and_refer_to_each_other(trainings):
    run()
    assert trainings.runs == [('first', 0, 4), ('second', 0, 4)]
    assert trainings.load_from == [None, 'out/first/iter_4.pth']
    (settings,) = trainings.tests
    assert settings.checkpoint == 'out/second/iter_4.pth' and settings.network == 'teacher'
    assert scores(Plan(experiment(), 'out')) == {'test': {'mIoU': 12.5, 'classes': {}}}


def test_a_finished_stage_is_not_run_again(trainings):
    run()
    lines = run()
    assert len(trainings.runs) == 2 and len(trainings.tests) == 1
    assert all('done already' in line for line in lines)


def test_an_interrupted_training_is_resumed(trainings):
    trainings.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert 'resumes from iter_3.pth' in describe(Plan(experiment(), 'out'))
    lines = run()
    assert trainings.runs == [('first', 0, 3), ('first', 3, 4), ('second', 0, 4)]
    assert 'resumes from iter_3.pth' in lines[0]


def test_record_says_what_the_stage_was(trainings):
    run(seed=3)
    record = json.loads(Path('out/second/stage.json').read_text())
    assert record['name'] == 'second' and record['finished']
    assert record['settings']['seed'] == 3
    assert record['settings']['config']['optim_wrapper']['optimizer']['betas'] == [0.9, 0.999]
    assert record['inputs']['first.checkpoint']['path'] == 'out/first/iter_4.pth'
    assert len(record['outputs']['checkpoint']['sha256']) == 64


def test_two_runs_do_not_share_a_work_dir(trainings):
    with held('out') as other, pytest.raises(UserError, match=f'in use by process {other.pid}'):
        run()
    with exclusive(Path('out')):
        pass  # the lock ends with its process


def test_a_work_dir_that_is_a_file_is_refused(trainings):
    Path('out').touch()
    with pytest.raises(UserError, match='out is a file or lies below one'):
        run()


def test_a_work_dir_that_cannot_be_made_is_refused(trainings):
    with pytest.raises(UserError, match='cannot write /proc/none/out: No such file'):
        StageRunner(Plan(experiment(), '/proc/none/out')).run()


@pytest.mark.parametrize('gpus', [0, 4])
def test_processes_without_a_gpu_are_warned_of(trainings, monkeypatch, gpus):
    def run_command(command):
        folder = Path(command[command.index('--work-dir') + 1])
        assert command[command.index('--nproc_per_node') + 1] == '4'
        (folder / 'iter_4.pth').touch()
        return 0

    monkeypatch.setattr('mmseg_uda.experiments.work.run_command', run_command)
    monkeypatch.setattr('torch.cuda.device_count', lambda: gpus)
    lines = run(processes=4)
    warnings = [line for line in lines if line.startswith('warning: ')]
    expected = 'warning: no GPU is found: the 4 processes of the training share the CPU'
    assert warnings == ([] if gpus else [expected] * 2)


def test_processes_that_cannot_share_a_later_batch_are_refused_at_once(trainings):
    """The published step of DA-SAC's last stage has two groups of images."""
    Path('groups.py').write_text("_base_ = './config.py'\ntotal_batch_size = 2\n")
    first, second, test = experiment().stages
    stages = replace(experiment(), stages=(first, replace(second, config='groups.py'), test))
    with pytest.raises(UserError, match=r'groups\.py: .* 2 .* processes, 3: start 1 or 2 \(--gpus'):
        run(stages=stages, processes=3)
    assert not trainings.runs
    run(stages=stages)
    assert [name for name, *_ in trainings.runs] == ['first', 'second']
