"""Where an experiment stands on the disk: what its stages read and wrote, what is left to do."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmseg_uda.config import overridden, read_config, seed_of
from mmseg_uda.engine.work_dir import best_checkpoint, last_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.earlier import current_settings
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.files import load_record
from mmseg_uda.settings import differences, flatten

REFERENCE = re.compile(r'\{(\w+)\.(\w+)\}')
MAX_DIFFERENCES = 20


@dataclass(frozen=True)
class State:
    """Where a stage stands on the disk.

    Attributes:
        status: ``to do``, ``broke off`` or ``done``.
        problem: why it cannot be run or taken as done, with what to do; ``None`` if it can.
    """

    folder: Path
    settings: dict[str, Any]
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    status: str
    problem: str | None = None
    finished: str | None = None


class Plan:
    """The stages of an experiment in a work dir. Looks and never changes anything.

    Args:
        experiment: the stages.
        work_dir: where their folders are; default ``work_dirs/<experiment>/seed<N>`` with the seed
            of the first training stage.
        seed: of every training stage; default each one's ``randomness.seed``.
        processes: of a training stage, over all machines; they share the batch.
        overrides: dotted config keys and values for every stage with a config.
    """

    def __init__(
        self,
        experiment: Experiment,
        work_dir: str | os.PathLike | None = None,
        *,
        seed: int | None = None,
        processes: int = 1,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.experiment = experiment
        self.seed = seed
        self.processes = processes
        self.overrides = dict(overrides or {})
        self._files: dict[str, Any] = {}
        self.work_dir = Path(work_dir or self._default_work_dir())

    def state(self, stage: Stage) -> State:
        """What ``stage`` reads, writes and has done already. Changes nothing."""
        folder = self.folder(stage)
        settings, inputs, outputs = self._settings(stage), self._inputs(stage), self._outputs(stage)
        state = State(folder, settings, inputs, outputs, 'to do')
        record = records.read_record(folder)
        if record is None:
            if stage.kind == 'train' and (found := last_checkpoint(folder)):
                problem = f'{found} is there, but no {records.RECORD} that says what it belongs to'
                return replace(state, problem=self._refuse(stage, problem))
            return state

        state = replace(
            state,
            status='done' if record['finished'] else 'broke off',
            finished=record['finished'],
        )
        recorded = current_settings(record['settings'], settings)
        if changes := differences(recorded, settings):
            if not record['finished'] and not self._left_something(stage):
                return replace(state, status='to do')  # it failed at once: nothing to protect
            more = len(changes) - MAX_DIFFERENCES
            lines = changes[:MAX_DIFFERENCES] + ([f'... and {more} more'] if more > 0 else [])
            problem = f'its settings have changed since it {self._ended(state)}:'
            return replace(state, problem=self._refuse(stage, '\n  '.join([problem, *lines])))
        for name, recorded in record['inputs'].items():
            path = inputs.get(name)
            if path is not None and path.exists() and (change := records.change(path, recorded)):
                if not record['finished'] and not self._left_something(stage):
                    return replace(state, status='to do')
                problem = f'its input {name} ({path}) {change} since it {self._ended(state)}'
                return replace(state, problem=self._refuse(stage, problem))
        for name, recorded in record.get('outputs', {}).items():
            path = outputs.get(name, Path(recorded['path']))
            if change := records.change(path, recorded):
                problem = f'it is finished, but its output {name} ({path}) {change}'
                return replace(state, problem=self._refuse(stage, problem))
        return state

    def describe(self) -> str:
        """The stages with inputs, outputs and what is done already, as text."""
        stages = self.experiment.stages
        lines = [f'{self.experiment.name}: {len(stages)} stages in {self.work_dir}']
        for number, stage in enumerate(stages, 1):
            state = self.state(stage)
            what = stage.call if stage.kind == 'command' else f'{stage.kind} {stage.config}'
            lines.append(f'[{number}/{len(stages)}] {stage.name}: {what}')
            status = f'done ({state.finished})' if state.status == 'done' else state.status
            if state.status == 'broke off' and stage.kind == 'train':
                newest = last_checkpoint(state.folder)
                status += f', goes on from {newest.name}' if newest else ' before a checkpoint'
            lines.append(f'    status: {status}')
            if state.problem:
                lines.append('    refused: ' + state.problem.replace('\n', '\n    '))
            for title, paths in (('input', state.inputs), ('output', state.outputs)):
                for name, path in paths.items():
                    there = '' if path.exists() else ' (not there yet)'
                    lines.append(f'    {title} {name}: {path}{there}')
        return '\n'.join(lines)

    def scores(self) -> dict[str, dict[str, Any]]:
        """The content of ``scores.json`` of every test stage that is finished, by stage name."""
        found = {}
        for stage in self.experiment.stages:
            if stage.kind == 'test' and (path := self._outputs(stage)['scores']).is_file():
                found[stage.name] = load_record(path, 'a file of scores', 'test again', ['mIoU'])
        return found

    def seed_of(self, stage: Stage) -> int:
        """The seed of a training stage."""
        return seed_of(self._config(stage, stage.options)) if self.seed is None else self.seed

    def folder(self, stage: Stage) -> Path:
        return Path(stage.folder) if stage.folder else self.work_dir / stage.name

    def _default_work_dir(self) -> Path:
        first = next(stage for stage in self.experiment.stages if stage.kind == 'train')
        return Path('work_dirs', self.experiment.name, f'seed{self.seed_of(first)}')

    def _settings(self, stage: Stage) -> dict[str, Any]:
        """What makes the stage's result, with references left open: a work dir may be moved."""
        settings: dict[str, Any] = {'kind': stage.kind}
        if stage.kind == 'command':
            settings |= {'call': stage.call, 'options': dict(stage.options)}
            if stage.config:
                settings['config'] = self._config(stage, {}).to_dict()
            return settings
        options = dict(stage.options) if stage.kind == 'train' else {}
        settings['config'] = self._config(stage, options).to_dict()
        if stage.kind == 'train':
            return settings | {'seed': self.seed_of(stage), 'processes': self.processes}
        return settings | {'options': dict(stage.options)}

    def _inputs(self, stage: Stage) -> dict[str, Path]:
        """Files that are read: outputs of earlier stages and pretrained weights, by name."""
        inputs = {
            f'{name}.{output}': Path(self._reference(stage, name, output))
            for value in flatten(dict(stage.options)).values()
            for name, output in REFERENCE.findall(str(value))
        }
        if stage.kind == 'train':
            config = self._config(stage, self.resolve(stage, dict(stage.options))).to_dict()
            read = {key: config.get(key) for key in ('load_from', 'model')}
            for key, value in flatten(read).items():
                if key.split('.')[-1] in ('pretrained', 'load_from') and isinstance(value, str):
                    inputs.setdefault(key, Path(value))
        return inputs

    def _outputs(self, stage: Stage) -> dict[str, Path]:
        folder = self.folder(stage)
        if stage.kind == 'test':
            scores = {'scores': folder / 'scores.json'}
            whole_folder = str(stage.options['checkpoint']).endswith('.folder}')
            return scores | ({'best': folder / 'model_best.pth'} if whole_folder else {})
        if stage.kind == 'command':
            return {n: Path(p.replace('{folder}', str(folder))) for n, p in stage.outputs.items()}
        config = self._config(stage, dict(stage.options))
        iterations = config.get('train_cfg', {}).get('max_iters')
        if not isinstance(iterations, int):
            raise UserError(f'config {stage.config} has no train_cfg.max_iters')
        outputs = {'checkpoint': folder / f'iter_{iterations}.pth', 'folder': folder}
        if figure := config.get('default_hooks', {}).get('checkpoint', {}).get('save_best'):
            outputs['best'] = best_checkpoint(folder, figure)
        return outputs

    def _config(self, stage: Stage, options: Mapping[str, Any]) -> Any:
        """The stage's config with ``options`` and the overrides; a file is read once."""
        if stage.config not in self._files:
            self._files[stage.config] = read_config(stage.config)
        return overridden(self._files[stage.config], dict(options) | self.overrides)

    def resolve(self, stage: Stage, value: Any) -> Any:
        """``value`` with its references replaced, strings deep inside included."""
        if isinstance(value, Mapping):
            return {key: self.resolve(stage, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.resolve(stage, item) for item in value)
        if not isinstance(value, str):
            return value
        value = REFERENCE.sub(lambda match: self._reference(stage, *match.groups()), value)
        return value.replace('{folder}', str(self.folder(stage)))

    def _reference(self, stage: Stage, name: str, output: str) -> str:
        for earlier in self.experiment.stages:
            if earlier is stage:
                break
            if earlier.name == name and output in (outputs := self._outputs(earlier)):
                return str(outputs[output])
        raise UserError(f'stage {stage.name}: no earlier stage gives {{{name}.{output}}}')

    def _left_something(self, stage: Stage) -> bool:
        """Whether a stage that broke off has results that a changed one would mix with."""
        if stage.kind == 'train':
            return last_checkpoint(self.folder(stage)) is not None
        return stage.kind == 'command' and any(p.exists() for p in self._outputs(stage).values())

    def _refuse(self, stage: Stage, problem: str) -> str:
        folder = self.folder(stage)
        elsewhere = '' if stage.folder else 'choose another --work-dir to keep it, or '
        return f'stage {stage.name}: {problem}\n{elsewhere}delete {folder} to run it again'

    def _ended(self, state: State) -> str:
        return 'finished' if state.finished else 'broke off'
