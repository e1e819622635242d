"""Config files: where they are found, how they are read, and how command lines change them.

Imports nothing heavy, and nothing that a config asks for.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.errors import UserError

PACKAGE = Path(__file__).resolve().parent
FOLDERS = (Path(), PACKAGE.parent, PACKAGE / 'repository')
"""Where configs and the experiment table are looked for: the working folder, the repository, and
the copy in an installed package."""


def find_file(name: str | Path) -> Path:
    """The file ``name`` in the first of :data:`FOLDERS` that has it.

    Raises:
        UserError: none has.
    """
    for folder in FOLDERS:
        if (path := folder / name).is_file():
            return path
    raise UserError(
        f'{name} does not exist in {Path.cwd()}, nor is it one of those that come along'
    )


def read_config(path: str) -> Any:
    """The mmengine config at ``path`` (from the working directory, else beside the package).

    Imports nothing that the config asks for.

    Raises:
        UserError: missing or broken file.
    """
    from mmengine.config import Config

    try:
        return Config.fromfile(locate(path), import_custom_modules=False)
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


def locate(config: str) -> Path:
    """The file of a config, from the working folder, the repository or the installed package."""
    return find_file(config)


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
