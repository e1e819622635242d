"""What an experiment is: stages, each with a config or a command, and published figures.

Imports nothing heavy: experiments are listed and planned without torch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmseg_uda.errors import UserError
from mmseg_uda.settings import flatten

REFERENCE = re.compile(r'\{(\w+)\.(\w+)\}')


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Kinds, what they need and the outputs that later stages can refer to:

    - ``train``: a config; ``options`` are dotted config keys and their values. Outputs:
      ``checkpoint`` of the last iteration, ``folder`` of all checkpoints, and with
      ``save_best`` in the config ``best``.
    - ``test``: a config; ``options`` are ``checkpoint`` and further fields of
      :class:`mmseg_uda.engine.testing.TestSettings`, ``show_dir`` (folder of pictures) and
      ``opacity``. Output ``scores``, the JSON file; if ``checkpoint`` is the folder of a training
      also ``best``, a copy of its best checkpoint.
    - ``command``: ``call`` names a Python function as ``module:function``; ``options`` are its
      keyword arguments, with a config also ``config``, the file, and ``cfg_options``. It must be
      safe to repeat after an interruption. Outputs as declared.

    ``{stage.output}`` in an option stands for the path of an earlier stage's output, ``{folder}``
    in options and outputs for the stage's own folder.

    Attributes:
        folder: where the record of a command goes whose outputs have fixed paths, such as data
            that several experiments read; default ``<work dir>/<name>``.
        shared: name under which several experiments share the stage. It then lies in
            ``work_dirs/shared/<shared>/seed<N>``, whatever the work dir is; N is the seed of the
            training, or of the training that the stage reads.
        published: percentages that the paper or its code states for the result, by metric as in
            ``scores.json``.
    """

    name: str
    config: str | None = None
    kind: str = 'train'
    options: Mapping[str, Any] = field(default_factory=dict)
    call: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    shared: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def references(self) -> list[tuple[str, str]]:
        """(stage, output) of everything that the options refer to."""
        values = flatten(dict(self.options)).values()
        return list(dict.fromkeys(r for value in values for r in REFERENCE.findall(str(value))))

    @property
    def reads(self) -> list[str]:
        """Names of the stages that this one refers to."""
        return list(dict.fromkeys(name for name, _ in self.references))


@dataclass(frozen=True)
class Experiment:
    """A row of the experiment table.

    Attributes:
        id: ``None`` for a config that is not in the table.
        name: of the experiment and its work dir.
        config: the one that gives the experiment its name.
        method, network, domains, note: texts for the list of experiments.

    Raises:
        UserError: a shared stage reads one that belongs to this experiment alone.
    """

    id: int | None
    name: str
    stages: tuple[Stage, ...]
    config: str = ''
    method: str = ''
    network: str = ''
    domains: str = ''
    note: str = ''

    def __post_init__(self) -> None:
        own = {stage.name for stage in self.stages if not (stage.shared or stage.folder)}
        for stage in self.stages:
            if stage.shared and (found := own.intersection(stage.reads)):
                raise UserError(
                    f'{self.name}: stage {stage.name} is shared, so stage {min(found)}, which it '
                    'reads, must be shared too'
                )

    def stage(self, name: str, flag: str) -> Stage:
        """The stage ``name``, which the user gave to ``flag``.

        Raises:
            UserError: there is none; the message lists the stages.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ', '.join(stage.name for stage in self.stages)
        raise UserError(f'{flag}: {self.name} has no stage {name!r}; its stages: {names}')

    @property
    def published(self) -> Mapping[str, float]:
        """The published figures of the last stage that has any."""
        found = (stage.published for stage in reversed(self.stages) if stage.published)
        return next(found, {})

    def with_best_checkpoints(self) -> 'Experiment':
        """This experiment with stages that read the best checkpoint of a training, not the last.

        Raises:
            UserError: no stage tests all checkpoints of a training that a later stage reads.
        """
        best = {
            tested.replace('.folder}', '.checkpoint}'): f'{{{stage.name}.best}}'
            for stage in self.stages
            if stage.kind == 'test' and (tested := stage.options['checkpoint']).endswith('.folder}')
        }
        stages = tuple(
            replace(stage, options={k: _in(best, v) for k, v in stage.options.items()})
            for stage in self.stages
        )
        if stages == self.stages:
            raise UserError(f'{self.name} has no stage that could read the best checkpoint')
        return replace(self, stages=stages)


def _in(table: Mapping[str, str], value: Any) -> Any:
    return table.get(value, value) if isinstance(value, str) else value
