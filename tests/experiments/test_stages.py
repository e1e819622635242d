import json
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmseg_uda.config import parse_overrides, seed_of
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.files import exclusive

CONFIG = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999)))
train_dataloader = dict(batch_size=2, num_workers=0)
default_hooks = dict(logger=dict(interval=50))
load_from = None
"""


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Stands in for training and testing: a list of (stage, first, last) iterations trained.

    ``trainings.stop_at`` breaks the next training off after that iteration.
    """
    monkeypatch.chdir(tmp_path)
    Path('config.py').write_text(CONFIG)
    done = types.SimpleNamespace(runs=[], tests=[], stop_at=None, load_from=[], seeds=[])

    def load_config(path, cfg_options, seed, work_dir, tensorboard=False):
        from mmengine.config import Config

        config = Config.fromfile(path)
        config.merge_from_dict(cfg_options)
        config.work_dir = work_dir
        done.seeds.append(seed_of(config) if seed is None else seed)
        return config

    def train(config, resume, launcher, accept_changes):
        folder, last = Path(config.work_dir), config.train_cfg.max_iters
        there = [int(path.stem[5:]) for path in folder.glob('iter_*.pth')]
        assert resume == bool(there) and launcher == 'none' and accept_changes
        first, stop_at = max(there, default=0), done.stop_at
        done.runs.append((folder.name, first, stop_at or last))
        done.load_from.append(config.load_from)
        for iteration in range(first + 1, (stop_at or last) + 1):
            (folder / f'iter_{iteration}.pth').write_text(f'{folder.name} {iteration}')
        if stop_at:
            done.stop_at = None
            raise KeyboardInterrupt

    def test(settings, outputs, launcher):
        done.tests.append(settings)
        scores = json.dumps({'mIoU': 12.5, 'classes': {}})
        Path(outputs.work_dir, 'scores.json').write_text(scores)

    import mmseg_uda.engine.testing  # noqa: F401 - before it could take the substitute for good

    monkeypatch.setattr('mmseg_uda.engine.config.load_config', load_config)
    monkeypatch.setattr('mmseg_uda.engine.train.train', train)
    monkeypatch.setattr('mmseg_uda.engine.testing.test', test)
    return done


def experiment() -> Experiment:
    return Experiment(
        None,
        'two_steps',
        (
            Stage('first', 'config.py'),
            Stage('second', 'config.py', options={'load_from': '{first.checkpoint}'}),
            Stage(
                'test',
                'config.py',
                kind='test',
                options={'checkpoint': '{second.checkpoint}', 'network': 'teacher'},
            ),
        ),
    )


def run(**options) -> list[str]:
    """Run the experiment; returns what it said."""
    lines = []
    StageRunner(Plan(experiment(), 'out', **options), say=lines.append).run()
    return lines


def test_stages_run_in_order_and_refer_to_each_other(trainings):
    run()
    assert trainings.runs == [('first', 0, 4), ('second', 0, 4)]
    assert trainings.load_from == [None, 'out/first/iter_4.pth']
    (settings,) = trainings.tests
    assert settings.checkpoint == 'out/second/iter_4.pth' and settings.network == 'teacher'
    assert Plan(experiment(), 'out').scores() == {'test': {'mIoU': 12.5, 'classes': {}}}


def test_a_finished_stage_is_not_run_again(trainings):
    run()
    lines = run()
    assert len(trainings.runs) == 2 and len(trainings.tests) == 1
    assert all('done already' in line for line in lines)


def test_what_broke_off_goes_on(trainings):
    trainings.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert 'goes on from iter_3.pth' in Plan(experiment(), 'out').describe()
    lines = run()
    assert trainings.runs == [('first', 0, 3), ('first', 3, 4), ('second', 0, 4)]
    assert 'goes on from iter_3.pth' in lines[0]


def test_record_says_what_the_stage_was(trainings):
    run(seed=3)
    record = json.loads(Path('out/second/stage.json').read_text())
    assert record['name'] == 'second' and record['finished']
    assert record['settings']['seed'] == 3
    assert record['settings']['config']['optim_wrapper']['optimizer']['betas'] == [0.9, 0.999]
    assert record['inputs']['first.checkpoint']['path'] == 'out/first/iter_4.pth'
    assert len(record['outputs']['checkpoint']['sha256']) == 64


def test_without_a_seed_each_training_has_its_configs(trainings):
    Path('seeded.py').write_text(CONFIG + 'randomness = dict(seed=76)\n')
    stages = (Stage('first', 'seeded.py'), Stage('second', 'config.py'))
    for seed, folder, expected in (
        (None, 'work_dirs/x/seed76', [76, 0]),
        (3, 'work_dirs/x/seed3', [3, 3]),
    ):
        plan = Plan(Experiment(None, 'x', stages), seed=seed)
        assert plan.work_dir == Path(folder)
        StageRunner(plan, say=lambda _: None).run()
        recorded = [
            json.loads(Path(folder, stage.name, 'stage.json').read_text())['settings']['seed']
            for stage in stages
        ]
        assert recorded == expected and trainings.seeds == expected
        trainings.seeds.clear()


def test_a_seed_among_the_overrides_is_the_seed(trainings):
    stages = (Stage('first', 'config.py'),)
    plan = Plan(Experiment(None, 'x', stages), overrides={'randomness': {'seed': 5}})
    assert plan.work_dir == Path('work_dirs/x/seed5') and plan.seed_of(stages[0]) == 5


def test_the_same_seed_by_option_or_config_is_no_change(trainings):
    Path('config.py').write_text(CONFIG + 'randomness = dict(seed=76)\n')
    run(seed=76)
    assert all('done already' in line for line in run())
    with pytest.raises(UserError, match='seed: 76 -> 0'):
        run(seed=0)


@pytest.mark.parametrize('seed', ["'x'", '-1', '0.5'])
def test_a_configs_seed_that_is_none_is_refused(trainings, seed):
    Path('config.py').write_text(CONFIG + f'randomness = dict(seed={seed})\n')
    with pytest.raises(UserError, match='it must be an integer of at least 0'):
        run()


@pytest.mark.parametrize('stop_at', [None, 2], ids=['finished', 'broke off'])
def test_changed_config_is_refused_with_the_difference(trainings, stop_at):
    trainings.stop_at = stop_at
    try:
        run()
    except KeyboardInterrupt:
        pass
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
    def fail(*_, **__):
        raise UserError('no data')

    with monkeypatch.context() as patch:
        patch.setattr('mmseg_uda.engine.train.train', fail)
        with pytest.raises(UserError, match='no data'):
            run()
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
    assert [plan.state(stage).status for stage in experiment().stages] == ['done'] * 3


def test_checkpoints_of_unknown_origin_are_refused(trainings):
    Path('out/first').mkdir(parents=True)
    Path('out/first/iter_2.pth').write_text('whose?')
    with pytest.raises(UserError, match='no stage.json'):
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


def test_a_work_dir_that_is_a_file_is_refused(trainings):
    Path('out').touch()
    with pytest.raises(UserError, match='out is a file or lies below one'):
        run()


def test_a_work_dir_that_cannot_be_made_is_refused(trainings):
    with pytest.raises(UserError, match='cannot write /proc/none/out: No such file'):
        StageRunner(Plan(experiment(), '/proc/none/out')).run()


@contextmanager
def held(folder: str) -> Iterator[subprocess.Popen]:
    """Another process holds ``folder`` until its input ends."""
    holder = (
        'import sys, pathlib; from mmseg_uda.files import exclusive\n'
        f'with exclusive(pathlib.Path({folder!r})): print("held", flush=True); sys.stdin.read()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', holder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={'PYTHONPATH': str(Path(__file__).parents[2])},
    ) as other:
        assert other.stdout.readline() == b'held\n'
        yield other
        other.kill()


def test_two_runs_do_not_share_a_work_dir(trainings):
    with held('out') as other, pytest.raises(UserError, match=f'in use by process {other.pid}'):
        run()
    with exclusive(Path('out')):
        pass  # the lock ends with its process


def test_a_stage_that_another_experiment_shares_is_waited_for(trainings):
    stage = making(1, 'shared')
    plan, said = Plan(Experiment(None, 'x', (stage,)), 'out'), []
    with held('shared') as other:

        def say(line: str) -> None:
            said.append(line)
            other.stdin.close()  # the other process comes to its end

        StageRunner(plan, say=say).run()
    assert said[0] == f'shared is in use by process {other.pid}: waiting for it'
    assert plan.state(stage).status == 'done'


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


def test_a_changed_file_in_a_folder_is_noticed(trainings):
    StageRunner(labels_and_training()).run()
    made, trained = labels_and_training().experiment.stages
    Path('out/labels/labels/b/1.png').write_text('label X/1.png')
    state = labels_and_training().state(made)
    assert 'its output folder (out/labels/labels) has changed (b/1.png)' in state.problem
    state = labels_and_training().state(trained)
    assert 'its input labels.folder (out/labels/labels) has changed (b/1.png)' in state.problem
    Path('out/labels/labels/b/1.png').unlink()
    assert 'has changed (b/1.png)' in labels_and_training().state(made).problem


def test_copied_folders_and_files_beside_are_no_change(trainings):
    StageRunner(labels_and_training()).run()
    shutil.copytree('out/labels/labels', 'copy', copy_function=shutil.copyfile)
    shutil.rmtree('out/labels/labels')
    shutil.move('copy', 'out/labels/labels')
    Path('out/labels/labels/b/1_converted.png').touch()
    Path('out/labels/labels/.lock').touch()
    plan = labels_and_training()
    assert [plan.state(stage).status for stage in plan.experiment.stages] == ['done', 'done']
    assert not any(plan.state(stage).problem for stage in plan.experiment.stages)


def test_folders_in_records_of_before_are_accepted(trainings):
    StageRunner(labels_and_training()).run()
    path = Path('out/labels/stage.json')
    record = json.loads(path.read_text())
    assert record.pop('schema') == 1
    record['outputs']['folder'] = {'path': 'out/labels/labels', 'folder': True}
    path.write_text(json.dumps(record))
    made = labels_and_training().experiment.stages[0]
    assert labels_and_training().state(made).problem is None
    path.write_text(json.dumps(record | {'schema': 2}))
    with pytest.raises(UserError, match=r'labels/stage\.json has schema 2'):
        labels_and_training().state(made)


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


def test_unknown_reference_is_an_error(trainings):
    stages = (Stage('only', 'config.py', options={'load_from': '{nobody.checkpoint}'}),)
    with pytest.raises(UserError, match=r'no earlier stage gives \{nobody.checkpoint\}'):
        Plan(Experiment(None, 'x', stages), 'out').describe()


def test_describe_runs_nothing(trainings):
    text = Plan(experiment(), 'out').describe()
    assert 'input first.checkpoint: out/first/iter_4.pth (not there yet)' in text
    assert text.count('status: to do') == 3
    assert not Path('out').exists() and not trainings.runs


def test_missing_and_broken_configs(trainings):
    for name, text, message in (
        ('none.py', None, 'none.py does not exist'),
        ('broken.py', 'a = (', 'broken.py cannot be read'),
        ('empty.py', 'a = 1', 'no train_cfg.max_iters'),
    ):
        if text:
            Path(name).write_text(text)
        with pytest.raises(UserError, match=message):
            Plan(Experiment(None, 'x', (Stage('a', name),)), 'out').describe()


def test_overrides_from_the_command_line():
    assert parse_overrides(['a.b=1', 'c=x,y', 'd=[(1,2)]', 'e=None', 'f=k=v']) == {
        'a.b': 1,
        'c': ['x', 'y'],
        'd': [(1, 2)],
        'e': None,
        'f': 'k=v',
    }
    for wrong in ('novalue', '=1', 'a=[1,2'):
        with pytest.raises(UserError, match='--cfg-options'):
            parse_overrides([wrong])


@pytest.mark.parametrize('gpus', [0, 4])
def test_processes_without_a_gpu_are_warned_of(trainings, monkeypatch, gpus):
    def run_command(command):
        folder = Path(command[command.index('--work-dir') + 1])
        assert command[command.index('--nproc_per_node') + 1] == '4'
        (folder / 'iter_4.pth').touch()
        return 0

    monkeypatch.setattr('mmseg_uda.experiments.stages.run_command', run_command)
    monkeypatch.setattr('torch.cuda.device_count', lambda: gpus)
    lines = run(processes=4)
    warnings = [line for line in lines if line.startswith('warning: ')]
    expected = 'warning: no GPU is found: the 4 processes of the training share the CPU'
    assert warnings == ([] if gpus else [expected] * 2)
