"""What is done of a plan, found by comparing it with the records on the disk."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.earlier import current_settings
from mmseg_uda.experiments.experiment import Stage
from mmseg_uda.experiments.given import FLAG
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.settings import differences

MAX_DIFFERENCES = 20


@dataclass(frozen=True)
class State:
    """What a stage reads and writes, and whether it is done.

    Attributes:
        status: ``to do``, ``interrupted`` or ``done``.
        problem: why it can neither be run nor taken as done, and what to do; ``None`` if it can.
        finished: when.
    """

    folder: Path
    settings: dict[str, Any]
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    status: str = 'to do'
    problem: str | None = None
    finished: str | None = None

    @property
    def ended(self) -> str:
        return 'finished' if self.finished else 'was interrupted'


def state_of(plan: Plan, stage: Stage) -> State:
    """How the stage stands. Changes nothing."""
    state = State(plan.folder(stage), plan.settings(stage), plan.inputs(stage), plan.outputs(stage))
    given, record = plan.given.get(stage.name), plan.record(stage)
    if record is None:
        found = last_checkpoint(state.folder) if stage.kind == 'train' and not given else None
        problem = found and f'{found} exists without the {records.RECORD} of its stage'
        return replace(state, problem=problem and _refusal(plan, stage, state, problem))

    status, finished = 'done' if record['finished'] else 'interrupted', record['finished']
    state = replace(state, status=status, finished=finished)
    problem = _given_differs(state, given, record) if given else _run_differs(state, record)
    if problem and not finished and not _left_something(plan, stage):
        return replace(state, status='to do')  # it failed at once: there is nothing to protect
    problem = problem or _damage(state, record)
    if given and not problem and record['given'] != str(given):
        state = replace(state, status='to do')  # same content at another path: record that path
    return replace(state, problem=problem and _refusal(plan, stage, state, problem))


def require_inputs(plan: Plan, stage: Stage) -> None:
    """Check that the stages that ``stage`` reads are done.

    Raises:
        UserError: one is not; says how to make it.
    """
    for name, output in stage.references:
        earlier = plan.experiment.stage(name, f'stage {stage.name}')
        state = state_of(plan, earlier)
        if state.problem:
            raise UserError(state.problem)
        if state.status != 'done' and name not in plan.given:
            replaced = '' if earlier.kind == 'test' else f', give its result by {FLAG} {name}=FILE'
            raise UserError(
                f'--only {stage.name} reads {state.outputs[output]}, but stage {name} is not '
                f'finished: run --only {name} first{replaced}, or leave out --only'
            )


def _run_differs(state: State, record: Mapping[str, Any]) -> str | None:
    """How settings and inputs differ from those of the record, if they do."""
    recorded = current_settings(record['settings'], state.settings)
    if changes := differences(recorded, state.settings):
        more = len(changes) - MAX_DIFFERENCES
        lines = changes[:MAX_DIFFERENCES] + ([f'... and {more} more'] if more > 0 else [])
        return '\n  '.join([f'its settings have changed since it {state.ended}:', *lines])
    for name, recorded in record['inputs'].items():
        path = state.inputs.get(name)
        if path is not None and path.exists() and (change := records.change(path, recorded)):
            return f'its input {name} ({path}) {change} since it {state.ended}'
    return None


def _given_differs(state: State, path: Path, record: Mapping[str, Any]) -> str | None:
    """How a given result differs from the stage's record, if it does."""
    if 'given' not in record:
        return f'{FLAG} gives it {path}, but it {state.ended} here already'
    changed = any(
        records.change(output, record['outputs'][name])
        for name, output in state.outputs.items()
        if name in record['outputs'] and record['given'] != str(path)
    )
    return f'{FLAG} gives it {path}, but it was given {record["given"]} before' if changed else None


def _damage(state: State, record: Mapping[str, Any]) -> str | None:
    """How the outputs of a finished stage differ from those of the record, if they do."""
    for name, recorded in record.get('outputs', {}).items():
        path = state.outputs.get(name, Path(recorded['path']))
        if change := records.change(path, recorded):
            what = f'was given by {FLAG}' if 'given' in record else 'is finished'
            return f'it {what}, but its output {name} ({path}) {change}'
    return None


def _left_something(plan: Plan, stage: Stage) -> bool:
    """Whether an interrupted stage has results that would be mixed with those of a changed one."""
    if stage.kind == 'train':
        return last_checkpoint(plan.folder(stage)) is not None
    return stage.kind == 'command' and any(p.exists() for p in plan.made(stage).values())


def _refusal(plan: Plan, stage: Stage, state: State, problem: str) -> str:
    """The message that refuses a stage: the problem and what to do."""
    end, folder = '\n' if '\n' in problem else ': ', state.folder
    message = f'stage {stage.name}: {problem}{end}'
    if not plan.is_shared(stage):
        keep = '' if stage.folder else 'choose another --work-dir to keep it, or '
        anew = 'give it another file' if stage.name in plan.given else 'run it again'
        return f'{message}{keep}delete {folder} to {anew}'
    use = ''
    if state.finished and stage.kind != 'test':
        several = stage.kind == 'command' and len(state.outputs) > 1
        result = folder if several else next(iter(state.outputs.values()))
        use = f'use its result as it is by {FLAG} {stage.name}={result}, '
    return (
        f'{message}other experiments share this stage, in any --work-dir: run with the settings it '
        f'has, {use}or delete {folder} to run it again for all of them'
    )
