"""A signal stops a training after the current step, with a checkpoint for an exact resume."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed

from mmseg_uda.cli import train
from mmseg_uda.engine.hooks import ExactCheckpointHook
from mmseg_uda.engine.interruption import StopRequest, run_command
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import Interrupted, UserError, dead_loader_workers, run_cli
from mmseg_uda.experiments.records import read_record
from tests.engine.test_resume import assert_same
from tests.tiny_training import MAX_ITERS, ROOT, environment, start, write_config

LAST = f'iter_{MAX_ITERS}.pth'
# Trains, and runs {then} at the start of step {step}.
TRAIN = """
import os, signal, sys
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.cli.train import main
from mmseg_uda.errors import run_cli

def step(method, *arguments, **named):
    if method.iteration + 1 == {step}:
        {then}
    return whole(method, *arguments, **named)

whole, UDAMethod.train_step = UDAMethod.train_step, step
run_cli(lambda: main(sys.argv[1:]))
"""
HERE = 'os.kill(os.getpid(), signal.{})'
# Another process signals the whole group; a worker's death is noticed within a second.
GROUP = (
    'import subprocess, time; '
    'subprocess.run(["sh", "-c", f"kill -s {} -- -{{os.getpgid(0)}}"], start_new_session=True); '
    'time.sleep(1)'
)


@pytest.fixture(scope='module')
def unbroken(tiny_config, tmp_path_factory) -> Path:
    """Work dir of an uninterrupted training."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('unbroken')
    train.main([tiny_config, '--work-dir', str(folder)])
    torch.set_num_threads(threads)
    return folder


def interrupted(config: str, folder: Path, then: str, step: int, *options: str) -> tuple[int, str]:
    """Status and stderr of a training in its own process group."""
    script = TRAIN.format(step=step, then=then)
    command = [sys.executable, '-c', script, config, '--work-dir', str(folder), '--resume']
    done = subprocess.run(
        command + (['--cfg-options', *options] if options else []),
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    return done.returncode, done.stderr


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder)]


@pytest.mark.usefixtures('one_thread')
@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM'])
def test_signal_ends_the_step_with_a_checkpoint(tiny_config, unbroken, tmp_path, name):
    """Also if the whole process group gets the signal, as with Ctrl-C and torchrun."""
    broken, options = tmp_path / 'broken', ['train_dataloader.num_workers=1']
    status, said = interrupted(tiny_config, broken, GROUP.format(name[3:]), 3, *options)
    assert status == 128 + getattr(signal, name) and 'Traceback' not in said, said
    lines = [line for line in said.splitlines() if name in line]
    assert lines == [
        f'{name}: the training stops after this step; a second signal stops it immediately',
        f'interrupted by {name} after iteration 3 of {MAX_ITERS}, whose checkpoint is in {broken}; '
        'to resume, run the same command again (mmseg-uda train with --resume)',
    ]
    assert names(broken) == ['iter_3.pth', 'iter_2.pth']
    train.main([tiny_config, '--work-dir', str(broken), '--resume'])
    assert names(broken) == [LAST, 'iter_4.pth']
    assert_same(broken / LAST, unbroken / LAST)


@pytest.mark.slow
def test_second_signal_ends_at_once(tiny_config, tmp_path):
    twice = f'{HERE.format("SIGINT")}; {HERE.format("SIGTERM")}'
    status, said = interrupted(tiny_config, tmp_path, twice, 4)
    assert status == -signal.SIGTERM and 'SIGINT: the training stops' in said
    assert names(tmp_path) == ['iter_2.pth']


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_signal_during_validation(tiny_config, tmp_path):
    """It stops there; a checkpoint is written even if none was due."""
    then = (
        'from mmengine.runner import ValLoop; run = ValLoop.run_iter; '
        f'ValLoop.run_iter = lambda *a: ({HERE.format("SIGTERM")}, run(*a))'
    )
    options = ['train_cfg.val_interval=3']
    status, said = interrupted(tiny_config, tmp_path, then, 3, *options)
    assert status == 143 and 'after iteration 3 of' in said
    assert names(tmp_path) == ['iter_3.pth', 'iter_2.pth']
    assert not (tmp_path / 'validated.json').exists()


def test_dead_loader_worker_is_one_message(tiny_config, tmp_path):
    then = (
        'import multiprocessing, time; multiprocessing.active_children()[0].kill(); time.sleep(600)'
    )
    status, said = interrupted(tiny_config, tmp_path, then, 4, 'train_dataloader.num_workers=1')
    assert status == 2 and 'Traceback' not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith('error: ')]
    assert line.startswith('error: DataLoader worker (pid') and line.endswith(
        f'is killed by signal: Killed: out of memory, or killed by a user; try fewer '
        f'num_workers; to resume, run the same command again (mmseg-uda train with --resume) from '
        f'the newest checkpoint in {tmp_path}'
    )


def test_other_runtime_errors_are_not_dead_workers():
    with pytest.raises(RuntimeError, match='Caught'), dead_loader_workers(''):
        raise RuntimeError('Caught RuntimeError in DataLoader worker process 0.')
    with pytest.raises(UserError, match='pid.s. 3. exited unexpectedly: .*; again'):
        with dead_loader_workers('again'):
            raise RuntimeError('DataLoader worker (pid(s) 3) exited unexpectedly')


def test_signals_outside_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # like nohup
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.agreed() == 0
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.agreed() == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(
    ('keep', 'files', 'written', 'left'),
    [
        (2, [2, 4, 5], 6, [6, 4]),  # an unscheduled one is removed
        (9, [2, 4, 5], 6, [6, 4, 2]),  # also if all are kept
        (2, [2, 4], 5, [5, 4, 2]),  # and no scheduled one is removed
        (2, [4, 5, 6], 7, [7, 6, 4]),
        (3, [1, 3], 4, [4, 3]),  # with another interval: two stay
        (2, [4, 6, 8], 9, [9, 8]),  # the last iteration is scheduled
    ],
)
def test_checkpoints_that_stay(tmp_path, keep, files, written, left):
    class Runner:
        work_dir, max_iters = tmp_path, 9

        def save_checkpoint(self, folder, name):
            (Path(folder) / name).touch()

    for iteration in files:
        (tmp_path / f'iter_{iteration}.pth').touch()
    ExactCheckpointHook(interval=2, keep=keep)._write(Runner(), written)
    assert names(tmp_path) == [f'iter_{iteration}.pth' for iteration in left]


def _rank(rank: int, rendezvous: str, result: str) -> None:
    distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=2)
    answers = []
    with StopRequest() as stop:
        for step in range(1, 6):
            if rank == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            answers.append(stop.agreed())
            if answers[-1]:
                break
    torch.save(answers, f'{result}{rank}')
    with StopRequest() as stop:  # all ranks know of a signal after the last check at the end
        if rank == 0:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.agreed() == 0
    assert stop.signal == signal.SIGINT
    distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_stop_at_the_same_step(tmp_path):
    mp.spawn(_rank, (str(tmp_path / 'rendezvous'), str(tmp_path / 'rank')), nprocs=2)
    for rank in range(2):
        assert torch.load(tmp_path / f'rank{rank}') == [0, 0, 0, signal.SIGTERM]


def test_interrupted_command_line(capsys):
    def main():
        raise Interrupted('how to go on', signal.SIGTERM)

    with pytest.raises(SystemExit) as end:
        run_cli(main)
    assert end.value.code == 143 and capsys.readouterr().err == 'how to go on\n'


def test_a_command_is_asked_to_end_and_waited_for(tmp_path):
    """Only SIGTERM is passed on, once; without a signal the process's own status is returned."""
    assert run_command([sys.executable, '-c', 'raise SystemExit(3)']) == 3
    child = (
        'import os, signal, sys, time\n'
        'def end(*_): time.sleep(1); open(sys.argv[1], "a").write("ended "); sys.exit()\n'
        'signal.signal(signal.SIGTERM, end)\n'
        'os.kill(os.getppid(), signal.SIGINT)\n'
        'time.sleep(600)'
    )
    with pytest.raises(Interrupted) as end:
        run_command([sys.executable, '-c', child, str(tmp_path / 'said')])
    assert end.value.signal == signal.SIGINT
    assert (tmp_path / 'said').read_text() == 'ended '


@pytest.mark.slow
def test_interrupted_experiment_on_two_processes(world, tmp_path):
    """Two ranks stop at the same step; run_experiments waits for them and resumes later."""
    config = write_config(tmp_path / 'tiny.py', world)
    command = [ROOT / 'run_experiments.py', '--config', config, '--gpus', '2']
    command += ['--work-dir', tmp_path / 'out', '--cfg-options', 'train_dataloader.batch_size=1']
    command += ['train_cfg.max_iters=5000', 'train_cfg.val_interval=5000']
    process = start(*command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    folder = tmp_path / 'out' / 'train'
    end = time.monotonic() + 120
    while not list(folder.glob('iter_*.pth')):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143, said
    assert said.count('interrupted by SIGTERM after iteration') == 1
    newest = checkpoints(folder)[0]
    assert f'after iteration {newest.stem[5:]} of 5000' in said
    assert read_record(folder)['finished'] is None
