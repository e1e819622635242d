"""Small experiments, substitutes for training and testing, and ways to run them."""

import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmseg_uda.config import seed_of
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from tests.tiny_training import environment

CONFIG = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999)))
train_dataloader = dict(batch_size=2, num_workers=0)
default_hooks = dict(logger=dict(interval=50))
load_from = None
"""


def substitute(monkeypatch) -> types.SimpleNamespace:
    """Substitute training and testing, and write ``config.py`` into the working folder.

    Returns:
        ``runs``: (folder, first, last) iterations of every training; ``tests``: the settings of
        every test; ``load_from`` and ``seeds`` of every training; ``stop_at``: the next training
        is interrupted after this iteration; ``after``: called after every iteration.
    """
    Path('config.py').write_text(CONFIG)
    done = types.SimpleNamespace(runs=[], tests=[], load_from=[], seeds=[])
    done.stop_at, done.after = None, lambda iteration: None

    def load_config(path, cfg_options, seed, work_dir, tensorboard=False):
        from mmengine.config import Config

        config = Config.fromfile(path)
        config.merge_from_dict(cfg_options)
        config.work_dir = work_dir
        done.seeds.append(seed_of(config) if seed is None else seed)
        return config

    def train(config, resume, launcher, accept_changes):
        folder, last = Path(config.work_dir), config.train_cfg.max_iters
        found = [int(path.stem[5:]) for path in folder.glob('iter_*.pth')]
        assert resume == bool(found) and launcher == 'none' and accept_changes
        first, stop_at = max(found, default=0), done.stop_at
        done.runs.append((folder.name, first, stop_at or last))
        done.load_from.append(config.load_from)
        for iteration in range(first + 1, (stop_at or last) + 1):
            (folder / f'iter_{iteration}.pth').write_text(f'{folder.name} {iteration}')
            done.after(iteration)
        if stop_at:
            done.stop_at = None
            raise KeyboardInterrupt

    def test(settings, outputs, launcher):
        done.tests.append(settings)
        scores = json.dumps({'mIoU': 12.5, 'classes': {}})
        Path(outputs.work_dir, 'scores.json').write_text(scores)

    import mmseg_uda.engine.testing  # noqa: F401 - before it imports the substitute

    monkeypatch.setattr('mmseg_uda.engine.config.load_config', load_config)
    monkeypatch.setattr('mmseg_uda.engine.train.train', train)
    monkeypatch.setattr('mmseg_uda.engine.testing.test', test)
    return done


def experiment() -> Experiment:
    """Two trainings, of which the second starts from the first, and a test."""
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


def sharing() -> Experiment:
    """A shared training, its shared test, and a training of its own that starts from it."""
    options = {'checkpoint': '{source.checkpoint}'}
    return Experiment(
        None,
        'adaptation',
        (
            Stage('source', 'config.py', shared='src'),
            Stage('test_source', 'config.py', kind='test', options=options, shared='test_src'),
            Stage('adapt', 'config.py', options={'load_from': '{source.checkpoint}'}),
        ),
    )


def run(
    work_dir: str = 'out',
    stages: Experiment | None = None,
    say: Callable[[str], None] = lambda line: None,
    **options,
) -> list[str]:
    """Run ``stages``, by default those of :func:`experiment`; returns the lines that it showed."""
    lines = []

    def show(line: str) -> None:
        lines.append(line)
        say(line)

    StageRunner(Plan(stages or experiment(), work_dir, **options), say=show).run()
    return lines


def run_with_failing_training(monkeypatch) -> None:
    """Run :func:`experiment`, whose training fails before its first checkpoint."""

    def fail(*_, **__):
        raise UserError('no data')

    with monkeypatch.context() as patch:
        patch.setattr('mmseg_uda.engine.train.train', fail)
        with pytest.raises(UserError, match='no data'):
            run()


@contextmanager
def other_process(program: str) -> Iterator[subprocess.Popen]:
    """Another Python process in the working folder; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, '-c', program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as other:
        yield other
        other.kill()


@contextmanager
def held(folder: str) -> Iterator[subprocess.Popen]:
    """Another process holds ``folder`` until its input ends."""
    holder = (
        'import sys, pathlib; from mmseg_uda.files import exclusive\n'
        f'with exclusive(pathlib.Path({folder!r})): print("held", flush=True); sys.stdin.read()'
    )
    with other_process(holder) as other:
        assert other.stdout.readline() == b'held\n'
        yield other
