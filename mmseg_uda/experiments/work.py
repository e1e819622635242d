"""What a stage does when it is run: train, test, or call a function."""

import gc
import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mmseg_uda.config import locate
from mmseg_uda.engine.interruption import run_command
from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.files import exclusive


def work(plan: Plan, stage: Stage, tensorboard: bool, say: Callable[[str], None]) -> None:
    """Run a stage, or resume it.

    Under torchrun every process calls it for trainings and tests, rank 0 alone for commands.

    Args:
        tensorboard: a training writes TensorBoard scalars too.
        say: shows a line of progress.
    """
    if stage.kind == 'train':
        _train(plan, stage, tensorboard, say)
    elif stage.kind == 'test':
        _test(plan, stage)
    else:
        _call(plan, stage)


def _train(plan: Plan, stage: Stage, tensorboard: bool, say: Callable[[str], None]) -> None:
    from mmseg_uda.engine.config import load_config
    from mmseg_uda.engine.train import train

    folder, world = plan.folder(stage), torchrun_world()
    overrides = plan.resolve(stage, dict(stage.options)) | plan.overrides
    config = load_config(locate(stage.config), overrides, plan.seed, str(folder), tensorboard)
    resume = last_checkpoint(folder) is not None
    if world is None and plan.processes > 1:
        _start_torchrun(plan, stage, config, resume, say)
        return
    first = world is None or world[0] == 0
    with exclusive(folder) if first else nullcontext():
        # The plan has compared the settings; paths in them may differ because folders were moved.
        train(config, resume, 'pytorch' if world else 'none', accept_changes=True)
    gc.collect()  # the runner is full of cycles; its memory belongs to the next stage


def _start_torchrun(
    plan: Plan, stage: Stage, config: Any, resume: bool, say: Callable[[str], None]
) -> None:
    import torch

    if torch.cuda.device_count() == 0:
        processes = f'the {plan.processes} processes of the training'
        say(f'warning: no GPU is found: {processes} share the CPU')
    # The overrides may hold any Python value, so the processes read the finished config from a
    # file, in a folder apart from the training's own copy.
    folder = plan.folder(stage)
    launched = folder / 'launch' / Path(config.filename).name
    launched.parent.mkdir(parents=True, exist_ok=True)
    config.dump(launched)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += ['--nproc_per_node', str(plan.processes), '-m', 'mmseg_uda.cli.train']
    command += [str(launched), '--launcher', 'pytorch', '--work-dir', str(folder)]
    command += ['--resume', '--accept-changes'] if resume else []
    if status := run_command(command):
        raise UserError(
            f'stage {stage.name} failed with status {status}, see the messages above; '
            'the same command resumes it'
        )


def _test(plan: Plan, stage: Stage) -> None:
    from mmseg_uda.engine.testing import TestOutputs, TestSettings, test

    options = plan.resolve(stage, dict(stage.options))
    outputs = TestOutputs(
        work_dir=str(plan.folder(stage)),
        pictures=options.pop('show_dir', None),
        opacity=options.pop('opacity', TestOutputs.opacity),
    )
    settings = TestSettings(str(stage.config), cfg_options=plan.overrides, **options)
    test(settings, outputs, 'pytorch' if torchrun_world() else 'none')


def _call(plan: Plan, stage: Stage) -> None:
    options = plan.resolve(stage, dict(stage.options))
    if stage.config:
        config = dict(config=str(locate(stage.config)), cfg_options=plan.overrides)
        options = config | options
    module, _, function = stage.call.partition(':')
    getattr(importlib.import_module(module), function)(**options)
