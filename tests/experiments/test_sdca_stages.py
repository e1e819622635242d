"""SDCA's stages: interrupted anywhere they resume exactly; changed settings are refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.cli import run as run_experiments
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.experiments.state import state_of
from mmseg_uda.experiments.table import load_table
from tests.engine.test_resume import assert_same, kill, wait_for
from tests.tiny_sdca import MAX_ITERS, experiment, write_configs
from tests.tiny_training import start

pytestmark = pytest.mark.usefixtures('one_thread')

LAST = f'iter_{MAX_ITERS}.pth'
STAGES = ('source', 'distributions', 'sdca', 'pseudo_labels', 'ssl')
# Runs the stages and stops in one of them, after two iterations or three images.
STOPPING = """
import sys, time
work_dir, where, *configs = sys.argv[1:]
import torch
torch.set_num_threads(1)
if where == 'pseudo_labels':
    from mmseg_uda.preparation import pseudo_labels as module
    write, count = module.atomic_write, []
    def counting(path):
        count.append(path)
        if len(count) == 4:
            open(work_dir + '/stopped', 'w').close()
            time.sleep(600)
        return write(path)
    module.atomic_write = counting
else:
    from mmseg_uda.engine.hooks import ExactCheckpointHook as hook
    after = hook.after_train_iter
    def stopping(self, runner, *args, **options):
        after(self, runner, *args, **options)
        if runner.iter == 2 and runner.work_dir.endswith('/' + where):
            open(work_dir + '/stopped', 'w').close()
            time.sleep(600)
    hook.after_train_iter = stopping
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from tests.tiny_sdca import experiment
StageRunner(Plan(experiment(configs), work_dir)).run()
"""


def run(configs: list[str], work_dir: Path, toy: bool = True, **options) -> list[str]:
    lines: list[str] = []
    StageRunner(Plan(experiment(configs, toy), work_dir, **options), say=lines.append).run()
    return lines


@pytest.fixture(scope='module')
def configs(world, tmp_path_factory) -> list[str]:
    return write_configs(tmp_path_factory.mktemp('configs'), world)


@pytest.fixture(scope='module')
def unbroken(configs, tmp_path_factory) -> Path:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('unbroken')
    run(configs, folder)
    torch.set_num_threads(threads)
    return folder


def test_every_stage_leaves_its_outputs(unbroken, configs, world):
    text = describe(Plan(experiment(configs), unbroken))
    assert text.count('status: done') == 8 and 'does not exist yet' not in text
    images = sorted((world / 'cityscapes/leftImg8bit/train').rglob('*.png'))
    labels = sorted((unbroken / 'pseudo_labels/soft_labels').rglob('*.png'))
    assert [path.name for path in labels] == [path.name for path in images]
    with Image.open(labels[0]) as label:
        assert label.mode == 'P' and len(label.getpalette()) == 3 * 256
        assert set(np.unique(label)) <= {*range(19), 255}
    assert np.load(unbroken / 'pseudo_labels/thres_const.npy').shape == (19,)
    assert not list((unbroken / 'pseudo_labels').rglob('*.pth'))


@pytest.mark.slow
@pytest.mark.parametrize('where', ['sdca', 'pseudo_labels', 'ssl'])
def test_a_killed_stage_resumes_bit_exactly(where, unbroken, configs, tmp_path):
    program = tmp_path / 'run.py'
    program.write_text(STOPPING)
    out = tmp_path / 'out'
    out.mkdir()
    process = start(program, out, where, *configs)
    try:
        wait_for(out, 'stopped', process, seconds=400)
    finally:
        kill(process)
    assert 'status: interrupted' in describe(Plan(experiment(configs), out))
    lines = run(configs, out)
    done = [line for line in lines if 'done already' in line]
    assert len(done) == {'sdca': 3, 'pseudo_labels': 5, 'ssl': 6}[where]
    for stage in ('sdca', 'ssl'):
        assert_same(out / stage / LAST, unbroken / stage / LAST)
    for path in (unbroken / 'pseudo_labels/soft_labels').rglob('*.png'):
        assert (out / path.relative_to(unbroken)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ('stage', 'number', 'change'),
    [
        ('source', 0, 'train_cfg = dict(max_iters=5)'),
        ('distributions', 0, 'optim_wrapper = dict(optimizer=dict(lr=0.5))'),
        ('sdca', 1, 'model = dict(temperature=2.0)'),
        ('pseudo_labels', 1, 'model = dict(temperature=2.0)'),
        ('ssl', 2, 'optim_wrapper = dict(optimizer=dict(lr=0.5))'),
    ],
)
def test_a_changed_config_of_a_finished_stage_is_refused(
    stage, number, change, unbroken, configs, tmp_path
):
    changed = [str(tmp_path / Path(config).name) for config in configs]
    for index, (path, base) in enumerate(zip(changed, configs, strict=True)):
        Path(path).write_text(f'_base_ = {base!r}\n{change if index == number else ""}\n')
    plan = Plan(experiment(changed), unbroken)
    (one,) = [s for s in plan.experiment.stages if s.name == stage]
    problem = state_of(plan, one).problem
    assert 'its settings have changed since it finished' in problem
    name, value = ('lr', '-> 0.5') if 'lr' in change else ('', '->')
    assert name in problem and value in problem and 'delete' in problem
    with pytest.raises(UserError, match='have changed'):
        StageRunner(plan, say=lambda _: None).run()


def test_all_checkpoints_are_tested_and_the_best_is_copied(configs, tmp_path):
    first_two = experiment(configs, toy=False).stages[:2]
    plan = Plan(Experiment(None, 'start', first_two), tmp_path)
    StageRunner(plan, say=lambda _: None).run()
    scores = json.loads((tmp_path / 'test_source/scores.json').read_text())
    assert scores['meta']['checkpoint'].endswith(LAST)
    assert scores['best']['mIoU'] >= scores['mIoU']
    rows = (tmp_path / 'test_source/test_results.csv').read_text().splitlines()
    assert [row.split(',')[0] for row in rows[:-1]] == ['iters', '2', '4']
    best = Path(scores['best']['checkpoint'])
    assert (tmp_path / 'test_source/model_best.pth').read_bytes() == best.read_bytes()
    assert 'best checkpoint by target labels' in run_experiments.results(plan)


def test_select_best_changes_what_later_stages_read():
    chosen = load_table()[40].with_best_checkpoints()
    options = {stage.name: stage.options for stage in chosen.stages}
    assert options['distributions']['checkpoint'] == '{test_source.best}'
    assert options['sdca']['load_from'] == '{test_source.best}'
    assert options['pseudo_labels']['checkpoint'] == '{test_sdca.best}'
    assert options['test_ssl']['checkpoint'] == '{ssl.folder}'
    describe(Plan(chosen, 'out'))
    with pytest.raises(UserError, match='no stage that could'):
        load_table()[10].with_best_checkpoints()


def test_a_command_gets_its_config(tmp_path, monkeypatch):
    """A command's config is part of what it is, and comes with the overrides."""
    monkeypatch.chdir(tmp_path)
    Path('config.py').write_text('a = 1\n')
    Path('spy.py').write_text('calls = []\ndef call(**options):\n    calls.append(options)\n')
    monkeypatch.syspath_prepend(tmp_path)
    stage = Stage('spy', 'config.py', kind='command', call='spy:call', options={'x': 2})
    plan = Plan(Experiment(None, 'one', (stage,)), 'out', overrides={'a': 3})
    StageRunner(plan, say=lambda _: None).run()
    assert sys.modules['spy'].calls == [{'config': 'config.py', 'cfg_options': {'a': 3}, 'x': 2}]
    plan.overrides = {'a': 4}
    assert 'a: 3 -> 4' in state_of(plan, stage).problem


def test_dry_run_shows_the_stages_of_the_full_experiment(capsys, tmp_path):
    run_experiments.main(['--exp', '40', '--dry-run', '--work-dir', str(tmp_path / 'out')])
    text = capsys.readouterr().out
    names = [line.split()[1] for line in text.splitlines() if line.startswith('[')]
    tests = {'test_source:', 'test_sdca:', 'test_ssl:'}
    assert [name for name in names if name not in tests] == [f'{stage}:' for stage in STAGES]
    assert text.count('status: to do') == 8 and 'thres_const.npy (does not exist yet)' in text
    assert not (tmp_path / 'out').exists()
