"""Finds and reads config files, and parses and applies overrides.

Imports neither heavy packages nor, by default, modules that a config requests.
"""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.data_config import is_data, read_data
from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in

PACKAGE = Path(__file__).resolve().parent
FOLDERS = (Path(), PACKAGE.parent, PACKAGE / 'repository')
"""Search path of configs and the experiment table: the working folder, the repository, and the copy
in an installed package."""


def find_file(name: str | os.PathLike) -> Path:
    """Return the file ``name`` in the first of :data:`FOLDERS` that contains it.

    Raises:
        UserError: no folder contains it.
    """
    for folder in FOLDERS:
        if (path := folder / name).is_file():
            return path
    raise UserError(f'{name} does not exist{looked_in(name, PACKAGE.parent)}')


def read_config(path: str | os.PathLike, imports: bool = False) -> Any:
    """Read a config file as an mmengine config.

    Args:
        path: see :func:`locate`.
        imports: import the modules in ``custom_imports`` of a Python config. JSON and YAML are data
            and import nothing (see :mod:`mmseg_uda.data_config`).

    Raises:
        UserError: missing or invalid file.
    """
    from mmengine.config import Config

    file = locate(path)
    try:
        if is_data(file):
            return with_current_options(read_data(file))
        return with_current_options(Config.fromfile(file, import_custom_modules=imports))
    except UserError:
        raise
    except Exception as error:  # a Python config can raise any error
        raise UserError(f'config {path} cannot be read: {error}') from error


def with_current_options(config: Any) -> Any:
    """A config, or its plain dict, of an earlier version with the options of this one.

    Add-ons were ``model.parts``; CDDA's ``as_published`` was two options.
    """
    if not isinstance(config.get('model'), dict) or 'parts' not in config['model']:
        return config
    from mmengine.config import Config

    config = copy.deepcopy(config)
    model = dict(config['model'])
    config['model'] = model = Config._merge_a_into_b({'addons': model.pop('parts') or {}}, model)
    if cdda := model['addons'].get('cdda'):
        forms = [cdda.pop('reweight_mask', 'class'), cdda.pop('guidance_switch', 'any')]
        if forms == ['first_row', 'last']:
            cdda['as_published'] = True
    return config


def batch_size_of(config: Any, processes: int, path: str | os.PathLike) -> int | None:
    """Positions of the sample stream that each process trains on in a step.

    Args:
        config: of a training; None is returned if it has no ``total_batch_size``, the number of all
            processes together.
        processes: their number.
        path: of the config, for the message.

    Raises:
        UserError: the processes cannot share them equally.
    """
    if (total := config.get('total_batch_size')) is None:
        return None
    if total % processes:
        possible = [number for number in range(1, total + 1) if total % number == 0]
        raise UserError(
            f'config {path}: total_batch_size {total} must be a multiple of the number of '
            f'processes, {processes}: start {_either(possible)} (--gpus)'
        )
    return total // processes


def _either(numbers: list[int]) -> str:
    """``1, 2 or 4``."""
    *others, last = map(str, numbers)
    return f'{", ".join(others)} or {last}' if others else last


def overridden(config: Any, overrides: Mapping[str, Any]) -> Any:
    """Return a copy of ``config`` with dotted keys set to new values.

    Raises:
        UserError: a key does not fit the structure of the config.
    """
    changed = copy.deepcopy(config)
    try:
        changed.merge_from_dict(dict(overrides))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        names = ', '.join(overrides)
        raise UserError(f'{names} cannot be set in config {config.filename}: {error}') from error
    return changed


def seed_of(config: Mapping[str, Any]) -> int:
    """Return ``randomness.seed`` of a config, 0 by default.

    Raises:
        UserError: it is not an integer of at least 0.
    """
    seed = config.get('randomness', {}).get('seed') or 0
    if not isinstance(seed, int) or seed < 0:
        raise UserError(f'randomness.seed is {seed!r}, it must be an integer of at least 0')
    return seed


def locate(config: str | os.PathLike) -> Path:
    """Return the file of a config, see :func:`find_file`; ``.py`` may be omitted.

    Raises:
        UserError: it does not exist.
    """
    try:
        return find_file(config)
    except UserError as error:
        try:
            return find_file(f'{config}.py')
        except UserError:
            raise UserError(f'config {error}') from error


def parse_overrides(arguments: list[str] | None) -> dict[str, Any]:
    """Parse ``['a.b=1', 'c=x,y']`` to ``{'a.b': 1, 'c': ['x', 'y']}``, by mmengine's rules.

    Raises:
        UserError: an argument without ``=`` or with unbalanced brackets.
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
        except (AssertionError, RecursionError) as error:  # unbalanced brackets
            raise UserError(
                f'--cfg-options {argument}: cannot be read as a value ({error})'
            ) from error
    return overrides
