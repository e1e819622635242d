"""Runs the stages of a plan: skips finished ones, resumes interrupted ones.

Each stage has a folder with a record of its settings, inputs and outputs (see ``records.py``). No
result is overwritten by a stage with other settings.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from mmseg_uda.engine.launch import joined_processes, torchrun_world
from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.experiment import Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.ranks import Ranks
from mmseg_uda.experiments.state import State, require_inputs, state_of
from mmseg_uda.experiments.work import work
from mmseg_uda.files import exclusive, remove_temporary_files


class StageRunner:
    """Runs the stages of a plan, in order.

    Under torchrun every process runs it: all of them train and test; rank 0 decides, holds the
    locks, keeps the records and calls the commands.

    Args:
        plan: the stages.
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
        plan, stages = self.plan, self.plan.experiment.stages
        for stage in plan.chosen:  # before any of them is run: a training takes hours
            state = self._check(stage)
            if stage.kind == 'train' and state.status != 'done' and stage.name not in plan.given:
                plan.check_processes(stage)
        if plan.only:
            require_inputs(plan, plan.only)
        joined = joined_processes() if torchrun_world() else nullcontext()
        alone = exclusive(plan.work_dir) if self.rank == 0 else nullcontext()
        with alone, joined:
            self.ranks = Ranks()
            for number, stage in enumerate(stages, 1):
                if stage in plan.chosen:
                    self._run_stage(stage, f'[{number}/{len(stages)}] {stage.name}')

    def _run_stage(self, stage: Stage, title: str) -> None:
        if stage.name in self.plan.given:
            self._record_given(stage, title)
            return
        state = self._decide(stage)
        if state.status != 'done':
            with self._lock(stage, state) if self.rank == 0 else nullcontext():
                state = self._decide(stage)  # another run may have finished it meanwhile
                if state.status != 'done':
                    self._carry_out(stage, state, title)
                    return
        self._link(stage)
        self.say(f'{title}: done already ({state.finished})')

    def _record_given(self, stage: Stage, title: str) -> None:
        if self.rank > 0:
            return
        state, path = self._check(stage), self.plan.given[stage.name]
        self._link(stage)
        if state.status != 'done':
            contents = {output: records.content(output) for output in {*state.outputs.values()}}
            self._write_record(
                stage,
                state,
                given=str(path),
                inputs={},
                outputs={name: contents[output] for name, output in state.outputs.items()},
                finished=_now(),
            )
        self.say(f'{title}: given: {path}')

    def _carry_out(self, stage: Stage, state: State, title: str) -> None:
        if self.rank > 0:
            if stage.kind != 'command':
                work(self.plan, stage, self.tensorboard, self.say)
            return

        self._link(stage)
        newest = last_checkpoint(state.folder) if stage.kind == 'train' else None
        begins = f'resumes from {newest.name}' if newest else 'starts'
        again = ' again' if state.status == 'interrupted' and not newest else ''
        self.say(f'{title}: {begins}{again} in {state.folder}')
        inputs = {name: records.signature(p) for name, p in state.inputs.items() if p.exists()}
        self._write_record(stage, state, inputs=inputs, finished=None)
        start = time.monotonic()
        work(self.plan, stage, self.tensorboard, self.say)
        for name, path in state.outputs.items():
            if not path.exists():
                raise UserError(f'stage {stage.name} ended without its output {name} ({path})')
        seconds = time.monotonic() - start
        self._write_record(
            stage,
            state,
            inputs=inputs,
            outputs={name: records.signature(path) for name, path in state.outputs.items()},
            finished=_now(),
            seconds=round(seconds, 1),
        )
        self.say(f'{title}: finished in {_duration(seconds)}')

    def _decide(self, stage: Stage) -> State:
        """How rank 0 finds the stage, for all ranks."""
        return self.ranks.from_first(self._check(stage) if self.rank == 0 else None)

    def _check(self, stage: Stage) -> State:
        state = state_of(self.plan, stage)
        if state.problem:
            raise UserError(state.problem)
        return state

    @contextmanager
    def _lock(self, stage: Stage, state: State) -> Iterator[None]:
        """Hold a stage. If several experiments make it, wait for another run that does."""
        shared = stage.folder or self.plan.is_shared(stage)
        say = self.say if shared else None
        if stage.kind == 'train':  # it holds its own folder, in another process if it has several
            with exclusive(state.folder / 'launch', say) if shared else nullcontext():
                yield
            return
        with exclusive(state.folder, say):
            for path in state.outputs.values():
                remove_temporary_files(path if path.is_dir() else path.parent)
            yield

    def _link(self, stage: Stage) -> None:
        """Make a shared stage appear in the work dir, where other commands look for checkpoints."""
        if self.rank > 0 or not stage.shared:
            return
        link = self.plan.work_dir / stage.name
        if link.is_symlink():
            link.unlink()
        if self.plan.is_shared(stage) and not link.exists():
            folder = self.plan.folder(stage).resolve()
            with suppress(OSError):  # not every file system has links
                link.symlink_to(os.path.relpath(folder, link.parent.resolve()))

    def _write_record(self, stage: Stage, state: State, **content: Any) -> None:
        records.write_record(state.folder, stage.name, state.settings, **content)


def _now() -> str:
    return time.strftime('%Y-%m-%d %H:%M:%S')


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}h {minutes:02}m {rest:02}s' if hours else f'{minutes}m {rest:02}s'
