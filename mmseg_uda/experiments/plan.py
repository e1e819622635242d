"""Where the stages of an experiment lie, what they read, write and depend on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config import batch_size_of, overridden, read_config, seed_of
from mmseg_uda.engine.work_dir import best_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import given, records
from mmseg_uda.experiments.experiment import REFERENCE, Experiment, Stage
from mmseg_uda.settings import flatten

SHARED = Path('work_dirs/shared')


class Plan:
    """The stages of an experiment in a work dir. Reads files and changes none.

    Args:
        experiment: the stages.
        work_dir: where their folders are; default ``work_dirs/<experiment>/seed<N>`` with the seed
            of the first training stage.
        seed: of every training stage; default each one's ``randomness.seed``.
        processes: of a training stage, over all machines; they share the batch.
        overrides: dotted config keys and values for every stage with a config.
        start_from: stage name -> path of a file or folder that takes the place of its result.
        only: name of the one stage to run.

    Attributes:
        given: ``start_from`` and what earlier runs in this work dir were given.
        chosen: the stages to run, in order.

    Raises:
        UserError: an unknown stage, a given file that is missing or does not fit.
    """

    def __init__(
        self,
        experiment: Experiment,
        work_dir: str | os.PathLike | None = None,
        *,
        seed: int | None = None,
        processes: int = 1,
        overrides: Mapping[str, Any] | None = None,
        start_from: Mapping[str, str | os.PathLike] | None = None,
        only: str | None = None,
    ) -> None:
        self.experiment = experiment
        self.seed = seed
        self.processes = processes
        self.overrides = dict(overrides or {})
        self.only = experiment.stage(only, '--only') if only else None
        self._files: dict[str, Any] = {}
        self.work_dir = Path(work_dir or self._default_work_dir())
        named = given.checked(experiment, start_from or {})
        self.given = given.remembered(experiment, self.work_dir) | named
        not_needed = given.not_needed(experiment, self.given)
        self.chosen = tuple(
            stage
            for stage in experiment.stages
            if stage.name in self.given
            or (stage.name not in not_needed if self.only is None else stage is self.only)
        )

    def folder(self, stage: Stage) -> Path:
        """Where the stage's record is, and its results unless they have fixed paths."""
        if self._is_own(stage):
            return self.work_dir / stage.name
        return Path(stage.folder) if stage.folder else self._shared_folder(stage)

    def is_shared(self, stage: Stage) -> bool:
        """Whether the stage lies in a folder under :data:`SHARED`."""
        return stage.shared is not None and not self._is_own(stage)

    def record(self, stage: Stage) -> dict[str, Any] | None:
        """The stage's record, ``None`` if there is none."""
        folder = self.folder(stage)
        # A given result of a shared stage: the work dir may still link to the shared folder.
        linked = folder.is_symlink() and stage.shared
        return None if linked else records.read_record(folder)

    def settings(self, stage: Stage) -> dict[str, Any]:
        """What determines the result. References stay unresolved, so a work dir may be moved."""
        if stage.name in self.given:
            return {'kind': 'given'}
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

    def inputs(self, stage: Stage) -> dict[str, Path]:
        """Files that are read: outputs of earlier stages and pretrained weights, by name."""
        if stage.name in self.given:
            return {}
        inputs = {
            f'{name}.{output}': Path(self._reference(stage, name, output))
            for name, output in stage.references
        }
        if stage.kind == 'train':
            config = self._config(stage, self.resolve(stage, dict(stage.options))).to_dict()
            read = {key: config.get(key) for key in ('load_from', 'model')}
            for key, value in flatten(read).items():
                if key.split('.')[-1] in ('pretrained', 'load_from') and isinstance(value, str):
                    inputs.setdefault(key, Path(value))
        return inputs

    def made(self, stage: Stage) -> dict[str, Path]:
        """What the stage writes if it is run."""
        folder = self.folder(stage)
        if stage.kind == 'test':
            outputs = {'scores': folder / 'scores.json'}
            tested = REFERENCE.fullmatch(str(stage.options['checkpoint']))
            if tested and tested[2] == 'folder':  # a given result is the only checkpoint
                outputs['best'] = self.given.get(tested[1], folder / 'model_best.pth')
            return outputs
        if stage.kind == 'command':
            return {n: Path(p.replace('{folder}', str(folder))) for n, p in stage.outputs.items()}
        config = self._config(stage, dict(stage.options))
        iterations = config.get('train_cfg', {}).get('max_iters')
        if not isinstance(iterations, int):
            raise UserError(f'config {stage.config} has no train_cfg.max_iters')
        outputs = {'checkpoint': folder / f'iter_{iterations}.pth', 'folder': folder}
        if metric := config.get('default_hooks', {}).get('checkpoint', {}).get('save_best'):
            outputs['best'] = best_checkpoint(folder, metric)
        return outputs

    def outputs(self, stage: Stage) -> dict[str, Path]:
        """Files and folders that later stages can read, by name."""
        outputs = self.made(stage)
        if path := self.given.get(stage.name):
            return given.outputs(stage, path, outputs)
        return outputs

    def resolve(self, stage: Stage, value: Any) -> Any:
        """``value`` with its references replaced by paths, also inside of lists and dicts."""
        if isinstance(value, Mapping):
            return {key: self.resolve(stage, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.resolve(stage, item) for item in value)
        if not isinstance(value, str):
            return value
        value = REFERENCE.sub(lambda match: self._reference(stage, *match.groups()), value)
        return value.replace('{folder}', str(self.folder(stage)))

    def seed_of(self, stage: Stage) -> int | None:
        """The seed of a training stage; of another, that of the first training it depends on."""
        if stage.kind == 'train':
            if self.seed is not None:
                return self.seed
            return seed_of(self._config(stage, stage.options))
        earlier = (self.seed_of(s) for s in self.experiment.stages if s.name in stage.reads)
        return next((seed for seed in earlier if seed is not None), None)

    def check_processes(self, stage: Stage) -> None:
        """Check that the processes can share the batch of a training stage.

        Raises:
            UserError: they cannot; says which numbers of processes can.
        """
        batch_size_of(self._config(stage, stage.options), self.processes, stage.config)

    def _default_work_dir(self) -> Path:
        first = next(stage for stage in self.experiment.stages if stage.kind == 'train')
        return Path('work_dirs', self.experiment.name, f'seed{self.seed_of(first)}')

    def _shared_folder(self, stage: Stage) -> Path:
        if (seed := self.seed_of(stage)) is None:
            raise UserError(f'stage {stage.name} depends on no training, so it cannot be shared')
        return SHARED / stage.shared / f'seed{seed}'

    def _is_own(self, stage: Stage) -> bool:
        """Whether the stage lies in the work dir and not in a folder of several experiments.

        A given result belongs to its work dir alone, and so does a shared stage that reads one. A
        work dir in which a stage was run before it became shared keeps it.
        """
        if stage.name in self.given or not (stage.folder or stage.shared):
            return True
        if stage.folder:
            return False
        own = self.work_dir / stage.name
        return (not own.is_symlink() and (own / records.RECORD).is_file()) or any(
            self._is_own(earlier)
            for earlier in self.experiment.stages
            if earlier.name in stage.reads
        )

    def _config(self, stage: Stage, options: Mapping[str, Any]) -> Any:
        """The stage's config with ``options`` and the overrides; a file is read once."""
        if stage.config not in self._files:
            self._files[stage.config] = read_config(stage.config)
        return overridden(self._files[stage.config], dict(options) | self.overrides)

    def _reference(self, stage: Stage, name: str, output: str) -> str:
        for earlier in self.experiment.stages:
            if earlier is stage:
                break
            if earlier.name == name and output in (outputs := self.outputs(earlier)):
                return str(outputs[output])
        raise UserError(f'stage {stage.name}: no earlier stage has the output {{{name}.{output}}}')
