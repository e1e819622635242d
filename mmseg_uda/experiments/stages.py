"""Experiments of several stages: what is finished is not run again, what broke off goes on.

Each stage has a folder with a record of what it was, read and wrote (see ``records.py``). Nothing
that a stage left is ever overwritten by a stage that means something else.
"""

import gc
import importlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mmseg_uda.config import locate
from mmseg_uda.engine.interruption import run_command
from mmseg_uda.engine.launch import joined_processes, torchrun_world
from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.experiment import Stage
from mmseg_uda.experiments.plan import Plan, State
from mmseg_uda.files import exclusive, remove_temporary_files


class StageRunner:
    """Runs the stages of a plan, in order.

    Below torchrun every process runs it: all of them train and test, rank 0 does the rest.

    Args:
        plan: the stages and where they stand.
        tensorboard: write TensorBoard scalars too.
        say: shows a line of progress.
    """

    def __init__(
        self, plan: Plan, *, tensorboard: bool = False, say: Callable[[str], None] = print
    ) -> None:
        self.plan = plan
        self.tensorboard = tensorboard
        self.rank = (torchrun_world() or (0, 1))[0]
        self.say = say if self.rank == 0 else lambda _: None

    def run(self) -> None:
        """Run what is not done.

        Raises:
            UserError: a stage is refused or failed; the message says what to do.
        """
        stages = self.plan.experiment.stages
        for stage in stages:  # before anything is made, and before hours of training
            self._check(self.plan.state(stage))
        joined = joined_processes() if torchrun_world() else nullcontext()
        with self._alone_in(self.plan.work_dir), joined:
            for number, stage in enumerate(stages, 1):
                self._run_stage(stage, f'[{number}/{len(stages)}] {stage.name}')

    def _run_stage(self, stage: Stage, title: str) -> None:
        state = self._check(self.plan.state(stage))
        if state.status != 'done' and stage.kind != 'train' and self.rank == 0:
            # Several experiments may want the same data made: the first makes them, others wait.
            with exclusive(state.folder, self.say if stage.folder else None):
                state = self._check(self.plan.state(stage))
                for path in state.outputs.values() if state.status != 'done' else ():
                    remove_temporary_files(path if path.is_dir() else path.parent)
                self._carry_out(stage, state, title)
        else:
            self._carry_out(stage, state, title)

    def _carry_out(self, stage: Stage, state: State, title: str) -> None:
        if state.status == 'done':
            self.say(f'{title}: done already ({state.finished})')
            return
        if self.rank > 0:  # rank 0 keeps the records
            if stage.kind != 'command':
                self._work(stage, state.folder)
            self._wait(state.folder)
            return

        newest = last_checkpoint(state.folder) if stage.kind == 'train' else None
        begins = f'goes on from {newest.name}' if newest else 'starts'
        again = ' again' if state.status == 'broke off' and not newest else ''
        self.say(f'{title}: {begins}{again} in {state.folder}')
        inputs = {name: records.signature(p) for name, p in state.inputs.items() if p.exists()}
        records.write_record(state.folder, stage.name, state.settings, inputs=inputs, finished=None)
        start = time.monotonic()
        self._work(stage, state.folder)
        for name, path in state.outputs.items():
            if not path.exists():
                raise UserError(f'stage {stage.name} ended without its output {name} ({path})')
        seconds = time.monotonic() - start
        records.write_record(
            state.folder,
            stage.name,
            state.settings,
            inputs=inputs,
            outputs={name: records.signature(path) for name, path in state.outputs.items()},
            finished=time.strftime('%Y-%m-%d %H:%M:%S'),
            seconds=round(seconds, 1),
        )
        self.say(f'{title}: finished in {_duration(seconds)}')

    def _check(self, state: State) -> State:
        if state.problem:
            raise UserError(state.problem)
        return state

    def _work(self, stage: Stage, folder: Path) -> None:
        if stage.kind == 'train':
            self._train(stage, folder)
        elif stage.kind == 'test':
            self._test(stage, folder)
        else:
            self._call(stage)

    def _train(self, stage: Stage, folder: Path) -> None:
        from mmseg_uda.engine.config import load_config
        from mmseg_uda.engine.train import train

        overrides = self.plan.resolve(stage, dict(stage.options)) | self.plan.overrides
        config = load_config(
            locate(stage.config), overrides, self.plan.seed, str(folder), self.tensorboard
        )
        resume = last_checkpoint(folder) is not None
        if torchrun_world() is None and self.plan.processes > 1:
            self._start_torchrun(stage, config, folder, resume)
            return
        launcher = 'pytorch' if torchrun_world() else 'none'
        with self._alone_in(folder):  # the plan has compared the settings, whatever folders moved
            train(config, resume, launcher, accept_changes=True)
        gc.collect()  # the runner is full of cycles; its memory belongs to the next stage

    def _start_torchrun(self, stage: Stage, config: Any, folder: Path, resume: bool) -> None:
        import torch

        if torch.cuda.device_count() == 0:
            processes = f'the {self.plan.processes} processes of the training'
            self.say(f'warning: no GPU is found: {processes} share the CPU')
        # The overrides may hold any Python value, so the processes get the finished config as a
        # file, apart from the folder where the training keeps its own copy.
        launched = folder / 'launch' / Path(config.filename).name
        launched.parent.mkdir(parents=True, exist_ok=True)
        config.dump(launched)
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        command += ['--nproc_per_node', str(self.plan.processes), '-m', 'mmseg_uda.cli.train']
        command += [str(launched), '--launcher', 'pytorch', '--work-dir', str(folder)]
        command += ['--resume', '--accept-changes'] if resume else []
        status = run_command(command)
        if status:
            raise UserError(
                f'stage {stage.name} ended with status {status}; its messages stand above. '
                'The same command goes on where it stopped'
            )

    def _test(self, stage: Stage, folder: Path) -> None:
        from mmseg_uda.engine.testing import TestOutputs, TestSettings, test

        options = self.plan.resolve(stage, dict(stage.options))
        outputs = TestOutputs(
            work_dir=str(folder),
            pictures=options.pop('show_dir', None),
            opacity=options.pop('opacity', TestOutputs.opacity),
        )
        settings = TestSettings(str(stage.config), cfg_options=self.plan.overrides, **options)
        test(settings, outputs, 'pytorch' if torchrun_world() else 'none')

    def _call(self, stage: Stage) -> None:
        options = self.plan.resolve(stage, dict(stage.options))
        if stage.config:
            config = dict(config=str(locate(stage.config)), cfg_options=self.plan.overrides)
            options = config | options
        module, _, function = stage.call.partition(':')
        getattr(importlib.import_module(module), function)(**options)

    def _alone_in(self, folder: Path) -> AbstractContextManager[None]:
        """Hold the folder against other runs; below torchrun rank 0 does it for all."""
        return exclusive(folder) if self.rank == 0 else nullcontext()

    def _wait(self, folder: Path) -> None:
        """Until rank 0 has finished the stage (its failure makes torchrun end this process)."""
        while not (record := records.read_record(folder)) or not record['finished']:
            time.sleep(1)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}h {minutes:02}m {rest:02}s' if hours else f'{minutes}m {rest:02}s'
