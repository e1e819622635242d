"""Plans and results as texts and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.experiments.experiment import Stage
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.state import state_of
from mmseg_uda.files import load_record


def describe(plan: Plan) -> str:
    """The stages with their inputs, their outputs and what is done already, as text."""
    stages = plan.experiment.stages
    lines = [f'{plan.experiment.name}: {len(stages)} stages in {plan.work_dir}']
    for number, stage in enumerate(stages, 1):
        what = stage.call if stage.kind == 'command' else f'{stage.kind} {stage.config}'
        lines.append(f'[{number}/{len(stages)}] {stage.name}: {what}')
        lines += [f'    {line}' for line in _stage_lines(plan, stage)]
    return '\n'.join(lines)


def scores(plan: Plan) -> dict[str, dict[str, Any]]:
    """The content of ``scores.json`` of every test stage that is finished, by stage name."""
    found = {}
    for stage in plan.experiment.stages:
        if stage.kind == 'test' and (path := plan.outputs(stage)['scores']).is_file():
            found[stage.name] = load_record(path, 'a file of scores', 'test again', ['mIoU'])
    return found


def _stage_lines(plan: Plan, stage: Stage) -> list[str]:
    if stage not in plan.chosen:
        return ['status: not run']
    state, given = state_of(plan, stage), plan.given.get(stage.name)
    status = f'done ({state.finished})' if state.status == 'done' else state.status
    if state.status == 'interrupted' and stage.kind == 'train' and not given:
        newest = last_checkpoint(state.folder)
        status += f', resumes from {newest.name}' if newest else ' before its first checkpoint'
    lines = [f'status: given: {given}' if given else f'status: {status}']
    if plan.is_shared(stage):
        lines.append(f'shared with other experiments: {state.folder}')
    if state.problem:
        lines += ('refused: ' + state.problem).split('\n')
    return lines + _paths('input', state.inputs) + _paths('output', state.outputs)


def _paths(title: str, paths: Mapping[str, Path]) -> list[str]:
    return [
        f'{title} {name}: {path}{"" if path.exists() else " (does not exist yet)"}'
        for name, path in paths.items()
    ]
