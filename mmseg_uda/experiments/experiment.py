"""What an experiment is: stages, each with a config or a command, and the published figure.

Imports nothing heavy: the front door lists and plans without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmseg_uda.errors import UserError


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Kinds, what they need and the outputs that later stages can refer to:

    - ``train``: a config; ``options`` are dotted config keys and their values. Output
      ``checkpoint``, the last iteration's, and ``folder``, where all are.
    - ``test``: a config; ``options`` are ``checkpoint`` and further fields of
      :class:`mmseg_uda.engine.testing.TestSettings`, ``show_dir`` (folder of pictures) and
      ``opacity``. Output ``scores``, the JSON file; if
      ``checkpoint`` is a training's folder also ``best``, the best one's copy.
    - ``command``: ``call`` names a Python function as ``module:function``; ``options`` are its
      keyword arguments, with a config also ``config``, the file, and ``cfg_options``. It must be
      safe to repeat after it broke off. Outputs as declared.

    ``{stage.output}`` in an option stands for the path of an earlier stage's output, ``{folder}``
    in options and outputs for the stage's own folder.
    """

    name: str
    config: str | None = None
    kind: str = 'train'
    options: Mapping[str, Any] = field(default_factory=dict)
    call: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    """Where the record goes if several experiments share the stage; else ``<work dir>/<name>``."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Figures in percent that the paper or its code states for the result, by name as in
    ``scores.json``."""


@dataclass(frozen=True)
class Experiment:
    """A row of the experiment table.

    Attributes:
        id: ``None`` for a config that is not in the table.
        name: of the experiment and its work dir.
        config: the one that gives the experiment its name.
        method, network, domains, note: as they are listed.
    """

    id: int | None
    name: str
    stages: tuple[Stage, ...]
    config: str = ''
    method: str = ''
    network: str = ''
    domains: str = ''
    note: str = ''

    @property
    def published(self) -> Mapping[str, float]:
        """The published figures of the last stage that has any."""
        found = (stage.published for stage in reversed(self.stages) if stage.published)
        return next(found, {})

    def handing_on_the_best(self) -> 'Experiment':
        """This experiment, with stages that read the best checkpoint of a training, not the last.

        Raises:
            UserError: none of its stages tests all checkpoints of a training that a later one uses.
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
