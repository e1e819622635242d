"""Files that the user gives in place of the results of stages."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.experiments import given
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.recipes import cdda, demo, sdca
from mmseg_uda.files import sha256
from tests.experiments.runs import experiment, run, run_with_failing_training, sharing


@pytest.fixture
def weights(trainings) -> Path:
    Path('weights.pth').write_text('of somebody else')
    return Path('weights.pth').absolute()


def make_labels(out: str) -> None:
    for name in ('a.png', 'b.png'):
        path = Path(out, 'labels', name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    Path(out, 'thresholds.npy').touch()


def labelling(*names: str, folder: str = '{folder}') -> Experiment:
    """A command with these outputs, and a training that reads the labels."""
    outputs = {Path(name).stem: f'{folder}/{name}' for name in names}
    options = {'out': folder}
    call = f'{__name__}:make_labels'
    made = Stage('label', kind='command', call=call, options=options, outputs=outputs)
    trained = Stage('ssl', 'config.py', options={'load_from': '{label.labels}'})
    return Experiment(None, 'labelling', (made, trained))


def test_a_given_checkpoint_is_used_and_recorded(trainings, weights):
    lines = run(start_from={'first': 'weights.pth'})
    assert lines[0] == f'[1/3] first: given: {weights}'
    assert trainings.runs == [('second', 0, 4)] and trainings.load_from == [str(weights)]
    record = json.loads(Path('out/first/stage.json').read_text())
    assert record['given'] == str(weights) and record['finished']
    assert record['outputs']['checkpoint']['sha256'] == sha256(weights)
    recorded = json.loads(Path('out/second/stage.json').read_text())
    assert recorded['inputs']['first.checkpoint']['sha256'] == sha256(weights)


def test_it_is_remembered(trainings, weights):
    run(start_from={'first': weights}, only='first')
    assert f'status: given: {weights}\n' in describe(Plan(experiment(), 'out'))
    run()
    assert trainings.load_from == [str(weights)]
    assert run()[0] == f'[1/3] first: given: {weights}'


def test_another_file_is_refused(trainings, weights):
    run(start_from={'first': weights})
    Path('other.pth').write_text('other weights')
    with pytest.raises(UserError) as refused:
        run(start_from={'first': 'other.pth'})
    (line,) = str(refused.value).splitlines()
    assert f'other.pth, but it was given {weights} before: ' in line
    assert line.endswith('or delete out/first to give it another file')
    shutil.copyfile(weights, 'other.pth')  # the same content elsewhere is no change
    run(start_from={'first': 'other.pth'})
    weights.unlink()
    assert run()[0].endswith('other.pth') and len(trainings.runs) == 1


def test_a_changed_or_missing_file_is_refused(trainings, weights):
    run(start_from={'first': weights})
    weights.write_text('changed since')
    for start_from in ({}, {'first': weights}):
        with pytest.raises(UserError, match=r'given by --start-from, but .* has changed'):
            run(start_from=start_from)
    weights.unlink()
    with pytest.raises(UserError, match=r'given by --start-from, but .* is gone'):
        run()


@pytest.mark.parametrize('stop_at', [None, 2], ids=['finished', 'interrupted'])
def test_a_stage_that_was_trained_here_is_not_replaced(trainings, weights, stop_at):
    trainings.stop_at = stop_at
    with suppress(KeyboardInterrupt):
        run()
    ended = 'was interrupted' if stop_at else 'finished'
    with pytest.raises(UserError, match=f'weights.pth, but it {ended} here already'):
        run(start_from={'first': weights})


def test_a_stage_that_failed_at_once_can_be_replaced(trainings, weights, monkeypatch):
    run_with_failing_training(monkeypatch)
    run(start_from={'first': weights})
    assert trainings.load_from == [str(weights)]


def test_stages_that_only_lead_to_it_are_not_run(trainings, weights):
    run(start_from={'second': weights})
    assert trainings.runs == [] and trainings.tests[0].checkpoint == str(weights)
    text = describe(Plan(experiment(), 'out'))
    assert text.count('status: not run') == 1 and not Path('out/first').exists()


@pytest.mark.parametrize(
    ('recipe', 'replaced', 'left_out'),
    [
        (sdca, ['source'], set()),
        (sdca, ['sdca'], {'source', 'test_source', 'distributions'}),
        (sdca, ['source', 'distributions'], set()),
        (sdca, ['pseudo_labels'], {'source', 'test_source', 'distributions', 'sdca', 'test_sdca'}),
        (sdca, ['source', 'pseudo_labels'], {'distributions', 'sdca', 'test_sdca'}),
        (demo, ['self_training'], set()),
        (demo, ['source_only', 'self_training'], set()),
        (cdda, ['train'], {'depth_distributions'}),
    ],
)
def test_what_is_not_needed(recipe, replaced, left_out):
    """Data of the toy world and tests of stages that still run are needed."""
    name = 'cdda_daformer_mitb5_gta2cs' if recipe is cdda else 'sdca_r101_gta2cs'
    stages = Experiment(None, 'x', recipe(f'configs/x/{name}.py'))
    assert given.not_needed(stages, replaced) == left_out


def test_the_test_of_all_checkpoints_tests_the_given_one(trainings, weights):
    test = Stage('test', 'config.py', kind='test', options={'checkpoint': '{first.folder}'})
    next_one = Stage('next', 'config.py', options={'load_from': '{test.best}'})
    stages = Experiment(None, 'x', (Stage('first', 'config.py'), test, next_one))
    run('out', stages, start_from={'first': weights})
    assert trainings.tests[0].checkpoint == str(weights)
    assert trainings.load_from == [str(weights)]
    assert all('done' in line or 'given' in line for line in run('out', stages))


def test_the_output_of_a_command_is_given(trainings):
    make_labels('mine')
    run('out', labelling('labels'), start_from={'label': 'mine/labels'})
    assert trainings.load_from == [str(Path('mine/labels').absolute())]
    Path('mine/labels/b.png').write_text('X.png')
    with pytest.raises(UserError, match=r'output labels .* has changed \(b\.png\)'):
        run('out', labelling('labels'))


def test_several_outputs_of_a_command_are_given_as_their_folder(trainings):
    stages = labelling('labels', 'thresholds.npy')
    make_labels('mine')
    run('one', stages, start_from={'label': 'mine'})
    run('two', stages)
    run('three', stages, start_from={'label': 'two/label'})  # the folder of such a stage
    given_labels = Path('two/label/labels').absolute()
    assert trainings.load_from[0] == str(Path('mine/labels').absolute())
    assert trainings.load_from[2] == str(given_labels)
    (given_labels / 'a.png').write_text('changed')
    with pytest.raises(UserError, match=r'output labels .* has changed \(a\.png\)'):
        run('three', stages)
    Path('mine/thresholds.npy').unlink()
    with pytest.raises(UserError, match=r'mine/thresholds\.npy does not exist; the folder must'):
        run('four', stages, start_from={'label': 'mine'})


def test_several_outputs_at_fixed_paths_cannot_be_given(trainings):
    Path('mine').mkdir()
    with pytest.raises(UserError, match=r'fixed paths \(data/labels, data/thresholds.npy\)'):
        stages = labelling('labels', 'thresholds.npy', folder='data')
        Plan(stages, 'out', start_from={'label': 'mine'})


@pytest.mark.parametrize(
    ('start_from', 'message'),
    [
        ({'third': 'weights.pth'}, "no stage 'third'; its stages: first, second, test"),
        ({'first': 'nothing.pth'}, r'first=nothing.pth: nothing.pth does not exist .looked for'),
        ({'first': '.'}, r'first=\.: \. is a folder; name a checkpoint in it'),
        ({'test': 'weights.pth'}, 'test is a test; only trainings and commands have results'),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(weights, start_from, message):
    with pytest.raises(UserError, match=f'--start-from.*{message}'):
        run(start_from=start_from)
    assert not Path('out').exists()


def test_arguments():
    assert given.parse(['a=x.pth', 'b=y=z', 'a=x.pth']) == {'a': 'x.pth', 'b': 'y=z'}
    for wrong, message in (
        (['a'], '--start-from a: write STAGE=FILE'),
        (['=x'], 'write STAGE=FILE'),
        (['a='], 'write STAGE=FILE'),
        (['a=x', 'a=y'], 'stage a has two files, x and y'),
    ):
        with pytest.raises(UserError, match=message):
            given.parse(wrong)


def test_a_given_result_of_a_shared_stage_belongs_to_its_work_dir(trainings, weights):
    trainings.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run('one', sharing())  # which leaves a link to the shared folder
    shared = Path('work_dirs/shared/src/seed0/stage.json')
    before = shared.read_text()
    run('one', sharing(), start_from={'source': weights})
    assert trainings.load_from[1:] == [str(weights)] and shared.read_text() == before
    assert not Path('one/source').is_symlink()
    assert Path('one/test_source/scores.json').is_file()  # not a result for other experiments
    assert not Path('work_dirs/shared/test_src').exists()
    run('two', sharing())
    assert trainings.runs[-2:] == [('seed0', 2, 4), ('adapt', 0, 4)]
    assert trainings.load_from[-1] == 'work_dirs/shared/src/seed0/iter_4.pth'
