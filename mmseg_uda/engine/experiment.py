"""What an experiment is: stages, each with a config or a command, and the published figure.

Imports nothing heavy: the front door lists and plans without torch.
"""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmseg_uda.engine.data_config import is_data, read_data
from mmseg_uda.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Kinds, what they need and the outputs that later stages can refer to:

    - ``train``: a config; ``options`` are dotted config keys and their values. Output
      ``checkpoint``, the last iteration's, and ``folder``, where all are.
    - ``test``: a config; ``options`` are ``checkpoint`` and further options of ``tools/test.py``
      (``{'network': 'teacher'}`` is ``--network teacher``). Output ``scores``, the JSON file; if
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


@dataclass(frozen=True)
class Experiment:
    """A row of the experiment table.

    Attributes:
        published: mIoU in percent that the paper or its code base states.
        metric: the figure that ``published`` is, a key of ``scores.json``.
    """

    id: int | None
    name: str
    stages: tuple[Stage, ...]
    published: float | None = None
    metric: str = 'mIoU'
    note: str = ''

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


def read_config(path: str | os.PathLike, imports: bool = False) -> Any:
    """The mmengine config at ``path`` (from the working directory, else beside the package).

    Args:
        imports: import the modules that a Python config asks for. JSON and YAML are data and
            import nothing (see :mod:`mmseg_uda.engine.data_config`).

    Raises:
        UserError: missing or broken file.
    """
    from mmengine.config import Config

    file = locate(path)
    try:
        if is_data(file):
            return read_data(file)
        return Config.fromfile(file, import_custom_modules=imports)
    except UserError:
        raise
    except Exception as error:  # a config is Python: anything can go wrong in it
        raise UserError(f'config {path} cannot be read: {error}') from error


def overridden(config: Any, overrides: Mapping[str, Any]) -> Any:
    """A copy of ``config`` with dotted keys set to other values.

    Raises:
        UserError: an override that does not fit it.
    """
    changed = copy.deepcopy(config)
    try:
        changed.merge_from_dict(dict(overrides))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        names = ', '.join(overrides)
        raise UserError(f'{names} cannot be set in config {config.filename}: {error}') from error
    return changed


def locate(config: str | os.PathLike) -> Path:
    """The file of a config, from the working directory or beside the package."""
    for path in (Path(config), ROOT / config):
        if path.is_file():
            return path
    raise UserError(f'config {config} does not exist')


def parse_overrides(arguments: list[str] | None) -> dict[str, Any]:
    """``['a.b=1', 'c=x,y']`` as ``{'a.b': 1, 'c': ['x', 'y']}``, by mmengine's rules.

    Raises:
        UserError: an argument without ``=`` or with brackets that do not match.
    """
    if not arguments:
        return {}
    from mmengine.config import DictAction

    overrides = {}
    for argument in arguments:
        key, equals, value = argument.partition('=')
        if not equals or not key:
            raise UserError(f'--cfg-options {argument}: write KEY=VALUE')
        try:
            overrides[key] = DictAction._parse_iterable(value)
        except (AssertionError, RecursionError) as error:  # it knows lists, tuples and plain values
            raise UserError(
                f'--cfg-options {argument}: cannot be read as a value ({error})'
            ) from error
    return overrides
