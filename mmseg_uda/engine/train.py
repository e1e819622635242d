"""From a config file to a trained model."""

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

import mmseg_uda.register  # noqa: F401 - first: it keeps the remarks of libraries off the screen
from mmseg_uda.engine.checks import config_problems, data_problems
from mmseg_uda.engine.runner import UDARunner
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import BUILD_ERRORS, UserError


def train(
    config: Config, resume: bool = False, launcher: str = 'none', accept_changes: bool = False
) -> Path:
    """Train as ``config`` says; returns the path of the final checkpoint.

    Args:
        resume: go on from the newest whole checkpoint in ``config.work_dir``, if there is one.
        accept_changes: resume with this config even if the checkpoint was trained with another, or
            with other processes. Optimiser settings and schedules are then those of this config.
        launcher: ``none``, or ``pytorch`` when the processes have joined (``joined_processes``).

    Raises:
        UserError: whatever the user can mend; nothing that exists is overwritten.
    """
    if 'train_dataloader' not in config:
        raise UserError(
            f'config {config.filename} says nothing of training data (those of mmseg 0.x serve '
            'tests alone): train with one of configs/'
        )
    found = [*checkpoints(config.work_dir), *Path(config.work_dir).glob('best_*.pth')]
    if found and not resume:
        raise UserError(
            f'{config.work_dir} holds {found[0].name} of an earlier run: add --resume to go on, or '
            'choose another --work-dir'
        )
    config.resume = resume
    config.launcher = launcher
    # mmengine finds loggers and writers by this name; stages of one process must not share them.
    config.experiment_name = config.work_dir
    runner = build_runner(config)
    runner.accept_changes = accept_changes
    if is_main_process():
        for warning in runner.train_dataloader.dataset.source_warnings():
            print_log(warning, logger='current', level=logging.WARNING)
    runner.train()
    return Path(config.work_dir) / f'iter_{runner.max_iters}.pth'


def build_runner(config: Config) -> UDARunner:
    """Build the runner with its data.

    Raises:
        UserError: mistakes in the config, or data that do not fit it: all of them in one message,
            one a line.
    """
    problems, cause = list(config_problems(config)), None
    try:
        runner = UDARunner.from_cfg(config)
        _ = runner.train_loop, runner.val_loop  # builds the data loaders
        problems += data_problems(runner)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    except UserError as error:
        problems.append(str(error))
        cause = error
    except (*BUILD_ERRORS, FileNotFoundError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        reason = str(reason).split(' More details')[0]  # mmengine's lecture on registries
        problems = problems or [f'cannot be built: {reason}']  # else a consequence of them
        cause = error
    if problems:
        lines = problems if len(problems) == 1 else ['', *problems]
        raise UserError(f'config {config.filename}: ' + '\n  '.join(lines)) from cause
    return runner
