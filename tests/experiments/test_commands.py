"""Command stages: their locks, files and folders."""

import json
import shutil
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.experiments.state import state_of
from tests.experiments.runs import held


def make_folder(out: str, files: int) -> None:
    for index in range(files):
        (Path(out) / str(index)).parent.mkdir(exist_ok=True)
        (Path(out) / str(index)).touch()


def making(files: int, folder: str | None = None) -> Stage:
    """The stage that makes a folder with so many files."""
    return Stage(
        'make',
        kind='command',
        call=f'{__name__}:make_folder',
        options={'out': 'made', 'files': files},
        outputs={'folder': 'made'},
        folder=folder,
    )


def label(out: str) -> None:
    for name in ('a/1.png', 'a/2.png', 'b/1.png'):
        path = Path(out, 'labels', name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'label {name}')


def labels_and_training() -> Plan:
    made = Stage(
        'labels',
        kind='command',
        call=f'{__name__}:label',
        options={'out': '{folder}'},
        outputs={'folder': '{folder}/labels'},
    )
    trained = Stage('ssl', 'config.py', options={'load_from': '{labels.folder}'})
    return Plan(Experiment(None, 'x', (made, trained)), 'out')


def test_a_stage_that_another_experiment_shares_is_waited_for(trainings):
    stage = making(1, 'shared')
    plan, said = Plan(Experiment(None, 'x', (stage,)), 'out'), []
    with held('shared') as other:

        def say(line: str) -> None:
            said.append(line)
            other.stdin.close()  # the other process comes to its end

        StageRunner(plan, say=say).run()
    assert said[0] == f'shared is in use by process {other.pid}: waiting for it'
    assert state_of(plan, stage).status == 'done'


def test_command_stage_shared_between_work_dirs(trainings):
    stage = making(2, 'made/stages/make')
    for work_dir in ('one', 'two'):
        StageRunner(Plan(Experiment(None, 'x', (stage,)), work_dir)).run()
    assert json.loads(Path('made/stages/make/stage.json').read_text())['finished']
    assert not Path('two/make').exists()


def test_what_killed_runs_left_half_written_is_removed(trainings):
    stage = making(2)
    left = [Path('made/sub/.0.png.0123456789abcdef.tmp'), Path('out/make/.stage.json.abcdefgh.tmp')]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    StageRunner(Plan(Experiment(None, 'x', (stage,)), 'out')).run()
    assert not any(path.exists() for path in left)
    left[0].touch()  # a stage that is done is not the one who writes there
    StageRunner(Plan(Experiment(None, 'x', (stage,)), 'out')).run()
    assert left[0].exists()


def test_command_that_makes_nothing_is_not_finished(trainings):
    with pytest.raises(UserError, match='ended without its output folder'):
        StageRunner(Plan(Experiment(None, 'x', (making(0),)), 'out')).run()
    assert not json.loads(Path('out/make/stage.json').read_text())['finished']


def test_a_changed_file_in_a_folder_is_noticed(trainings):
    StageRunner(labels_and_training()).run()
    made, trained = labels_and_training().experiment.stages
    Path('out/labels/labels/b/1.png').write_text('label X/1.png')
    state = state_of(labels_and_training(), made)
    assert 'its output folder (out/labels/labels) has changed (b/1.png)' in state.problem
    state = state_of(labels_and_training(), trained)
    assert 'its input labels.folder (out/labels/labels) has changed (b/1.png)' in state.problem
    Path('out/labels/labels/b/1.png').unlink()
    assert 'has changed (b/1.png)' in state_of(labels_and_training(), made).problem


def test_copied_folders_and_files_beside_are_no_change(trainings):
    StageRunner(labels_and_training()).run()
    shutil.copytree('out/labels/labels', 'copy', copy_function=shutil.copyfile)
    shutil.rmtree('out/labels/labels')
    shutil.move('copy', 'out/labels/labels')
    Path('out/labels/labels/b/1_converted.png').touch()
    Path('out/labels/labels/.lock').touch()
    plan = labels_and_training()
    assert [state_of(plan, stage).status for stage in plan.experiment.stages] == ['done', 'done']
    assert not any(state_of(plan, stage).problem for stage in plan.experiment.stages)


def test_folders_in_records_of_before_are_accepted(trainings):
    StageRunner(labels_and_training()).run()
    path = Path('out/labels/stage.json')
    record = json.loads(path.read_text())
    assert record.pop('schema') == 1
    record['outputs']['folder'] = {'path': 'out/labels/labels', 'folder': True}
    path.write_text(json.dumps(record))
    made = labels_and_training().experiment.stages[0]
    assert state_of(labels_and_training(), made).problem is None
    path.write_text(json.dumps(record | {'schema': 2}))
    with pytest.raises(UserError, match=r'labels/stage\.json has schema 2'):
        state_of(labels_and_training(), made)
