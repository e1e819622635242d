"""Stages that several experiments share: the first makes them, others find or wait for them."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_uda.engine.work_dir import training_folder
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.files import exclusive
from tests.experiments.runs import other_process, run, sharing
from tests.tiny_training import environment

FOLDER = Path('work_dirs/shared/src/seed0')
# Runs the experiment in a work dir of its own; `then` is called after each iteration.
OTHER_RUN = """
import os, signal, sys
import pytest
from tests.experiments.runs import run, sharing, substitute
trainings = substitute(pytest.MonkeyPatch())
def after(iteration):
    if iteration == 2:
        {then}
trainings.after = after
run('other', sharing())
"""
WAIT = "print('two', flush=True); sys.stdin.read()"
KILL = 'os.kill(os.getpid(), signal.SIGKILL)'


def test_the_second_experiment_finds_it_done(trainings):
    run('one', sharing())
    lines = run('two', sharing())
    assert trainings.runs == [('seed0', 0, 4), ('adapt', 0, 4), ('adapt', 0, 4)]
    assert len(trainings.tests) == 1 and trainings.load_from[1:] == [f'{FOLDER}/iter_4.pth'] * 2
    assert ['done already' in line for line in lines] == [True, True, False, False]
    record = json.loads(Path('work_dirs/shared/test_src/seed0/stage.json').read_text())
    assert record['finished'] and record['inputs']['source.checkpoint']['path'].startswith(
        str(FOLDER)
    )


def test_each_seed_has_a_folder(trainings):
    run('one', sharing())
    run('one3', sharing(), seed=3)
    assert [folder for folder, *_ in trainings.runs] == ['seed0', 'adapt', 'seed3', 'adapt']
    assert Path('work_dirs/shared/test_src/seed3/scores.json').is_file()


def test_the_second_of_two_runs_waits(trainings):
    with other_process(OTHER_RUN.format(then=WAIT)) as other:
        assert other.stdout.readline() == b'two\n'

        def say(line: str) -> None:
            if line.endswith('waiting for it'):
                assert trainings.runs == [] and f'process {other.pid}' in line
                other.stdin.close()  # the other training resumes

        lines = run('one', sharing(), say)
        assert other.wait() == 0
    assert lines[0].startswith(str(FOLDER)) and lines[0].endswith('waiting for it')
    assert lines[1].startswith('[1/3] source: done already')
    assert trainings.runs == [('adapt', 0, 4)]


def test_a_killed_training_is_resumed_by_another_experiment(trainings):
    with other_process(OTHER_RUN.format(then=KILL)) as other:
        assert other.wait() == -signal.SIGKILL
    assert not json.loads((FOLDER / 'stage.json').read_text())['finished']
    lines = run('one', sharing())
    assert lines[0] == f'[1/3] source: resumes from iter_2.pth in {FOLDER}'
    assert trainings.runs == [('seed0', 2, 4), ('adapt', 0, 4)]


@pytest.mark.parametrize('stop_at', [None, 2], ids=['finished', 'interrupted'])
def test_other_settings_are_refused(trainings, stop_at):
    trainings.stop_at = stop_at
    try:
        run('one', sharing())
    except KeyboardInterrupt:
        pass
    other = {'optim_wrapper.optimizer.lr': 0.01}
    with pytest.raises(UserError) as error:
        run('two', sharing(), overrides=other)
    message = str(error.value)
    assert 'config.optim_wrapper.optimizer.lr: 0.001 -> 0.01' in message
    assert 'other experiments share this stage' in message and f'delete {FOLDER} ' in message
    advice = f'--start-from source={FOLDER}/iter_4.pth'
    assert (advice in message) == (stop_at is None)
    if advice in message:  # it holds
        start_from = {'source': f'{FOLDER}/iter_4.pth'}
        run('two', sharing(), overrides=other, start_from=start_from)
        assert trainings.load_from[-1] == str(FOLDER.absolute() / 'iter_4.pth')


def test_the_plan_shows_what_is_shared(trainings):
    text = describe(Plan(sharing(), 'out'))
    assert f'shared with other experiments: {FOLDER}\n' in text
    assert text.count('shared with') == 2 and 'out/adapt/iter_4.pth' in text
    assert not Path('out').exists() and not FOLDER.exists()


def test_the_work_dir_shows_it_as_a_link(trainings):
    trainings.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run('one', sharing())
    assert training_folder(Path('one')).resolve() == FOLDER.resolve()
    run('one', sharing())
    run('other/two', sharing())
    for link in (Path('one/source'), Path('other/two/source')):
        assert link.is_symlink() and link.resolve() == FOLDER.resolve()
    Path('one').rename('other/one')
    run('other/one', sharing())
    assert Path('other/one/source').resolve() == FOLDER.resolve()
    assert [run for run in trainings.runs if run[0] == 'seed0'] == [
        ('seed0', 0, 2),
        ('seed0', 2, 4),
    ]


def test_a_work_dir_keeps_what_it_has_of_its_own(trainings):
    """Experiments of an earlier version, in which the stage was not shared."""
    own = tuple(Stage(**vars(stage) | {'shared': None}) for stage in sharing().stages)
    run('one', Experiment(None, 'adaptation', own))
    lines = run('one', sharing())
    assert all('done already' in line for line in lines) and not FOLDER.exists()


def test_a_shared_stage_reads_only_shared_ones():
    test = Stage('t', 'config.py', kind='test', options={'checkpoint': '{a.folder}'}, shared='t')
    with pytest.raises(UserError, match='x: stage t is shared, so stage a, .* must be shared too'):
        Experiment(None, 'x', (Stage('a', 'config.py'), test))


def test_a_shared_stage_has_the_seed_of_a_training(trainings):
    command = Stage('c', kind='command', call='a:b', shared='c')
    stages = Stage('a', 'config.py'), command
    with pytest.raises(UserError, match='stage c depends on no training'):
        describe(Plan(Experiment(None, 'x', stages), 'out'))


RANKS = """
import os, pathlib, pytest
from tests.experiments.runs import run, sharing, substitute
rank = os.environ['RANK']
substitute(pytest.MonkeyPatch())
def train(config, resume, launcher, accept_changes):
    from torch import distributed
    distributed.barrier()
    folder = pathlib.Path(config.work_dir)
    (folder / f'trained_by_{rank}').touch()
    if rank == '0':
        (folder / 'iter_4.pth').touch()
import mmseg_uda.engine.train
mmseg_uda.engine.train.train = train
run('ranks', sharing(), lambda line: print(line, flush=True), processes=2)
"""


@pytest.mark.slow
def test_all_ranks_find_it_done_after_waiting(trainings):
    """Rank 0 waits for all of them; what another run has made meanwhile is trained by none."""
    Path('ranks.py').write_text(RANKS)
    plan = Plan(sharing(), 'ranks', processes=2)
    source = plan.experiment.stages[0]
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    with exclusive(FOLDER / 'launch'):
        ranks = subprocess.Popen(
            [*command, 'ranks.py'], stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert ranks.stdout.readline().endswith('waiting for it\n')
        plan.outputs(source)['checkpoint'].write_text('of the other run')
        outputs = {name: records.signature(path) for name, path in plan.outputs(source).items()}
        content = dict(inputs={}, outputs=outputs, finished='just now')
        records.write_record(FOLDER, 'source', plan.settings(source), **content)
    lines = ranks.communicate()[0].splitlines()
    assert ranks.returncode == 0 and lines[0] == '[1/3] source: done already (just now)'
    assert not list(FOLDER.glob('trained_by_*'))
    assert len(list(Path('ranks/adapt').glob('trained_by_[01]'))) == 2
