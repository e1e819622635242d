"""Trains a model as its config describes."""

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
from mmseg_uda.engine.checks import config_problems, data_problems
from mmseg_uda.engine.runner import UDARunner
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import BUILD_ERRORS, UserError


def train(
    config: Config, resume: bool = False, launcher: str = 'none', accept_changes: bool = False
) -> Path:
    """Train and return the path of the final checkpoint.

    Args:
        config: a config of :func:`mmseg_uda.engine.config.load_config`.
        resume: resume from the newest intact checkpoint in ``config.work_dir``, if there is one.
        launcher: ``pytorch`` inside of ``joined_processes``, else ``none``.
        accept_changes: resume even if the checkpoint was trained with another config or number of
            processes. Optimiser settings and schedules are then those of this config.

    Raises:
        UserError: an error in the config or data, or ``config.work_dir`` has checkpoints and
            ``resume`` is not set.
    """
    if 'train_dataloader' not in config:
        raise UserError(
            f'config {config.filename} has no train_dataloader (configs of mmseg 0.x can only be '
            'tested): train with one of configs/'
        )
    found = [*checkpoints(config.work_dir), *Path(config.work_dir).glob('best_*.pth')]
    if found and not resume:
        raise UserError(
            f'{config.work_dir} holds {found[0].name} of an earlier run: add --resume to resume '
            'it, or choose another --work-dir'
        )
    config.resume = resume
    config.launcher = launcher
    # mmengine finds loggers and writers by this name: stages of one process need different ones.
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
        UserError: errors in the config or data; one message with one line per error.
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
        reason = str(reason).split(' More details')[0]  # mmengine's advice on registries
        problems = problems or [f'cannot be built: {reason}']  # otherwise a consequence of these
        cause = error
    if problems:
        lines = problems if len(problems) == 1 else ['', *problems]
        raise UserError(f'config {config.filename}: ' + '\n  '.join(lines)) from cause
    return runner
