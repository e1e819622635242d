"""Configs in JSON and YAML, which are treated as data: they cannot run code.

A Python config is a program. In mmengine a JSON or YAML config can run code, too: it can import
modules, inherit from a Python file, and name any function as the ``type`` of a component.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmseg_uda.errors import UserError

SUFFIXES = ('.json', '.yaml', '.yml')
SCOPE = 'mmseg'
# Keys whose values mmengine looks up in a registry and otherwise imports.
NAMES = ('type', 'constructor', 'runner_type')
# Files that mmengine unpickles, or reads as YAML that can construct any object.
UNSAFE_FILES = ('.pkl', '.pickle', '.yaml', '.yml')


def is_data(path: Path) -> bool:
    """Whether the suffix of a config file is that of JSON or YAML."""
    return path.suffix in SUFFIXES


def read_data(path: Path) -> Any:
    """Read a JSON or YAML file as an mmengine config, without imports or substitutions.

    Raises:
        UserError: an entry that needs them: ``_base_``, ``custom_imports``, ``{{ ... }}``.
        Exception: any error of the parser, if the file is not valid JSON or YAML.
    """
    from mmengine.config import Config

    text = path.read_text(encoding='utf-8')
    if path.suffix == '.json':
        values = json.loads(text)
    else:
        import yaml

        values = yaml.safe_load(text)
    if not isinstance(values, dict):
        raise UserError(f'config {path} is not a mapping of names to values')
    for place, key, value in _entries(values):
        if not isinstance(key, str):
            raise UserError(f'config {path}: the key {place} must be a string')
        if key == 'custom_imports' or key.startswith('_') and key.endswith('_'):
            raise UserError(
                f'config {path}: {place} is only possible in Python configs; JSON and YAML are data'
            )
        if '{{' in key or isinstance(value, str) and '{{' in value:
            raise UserError(
                f'config {path}: {place} = {value!r}: JSON and YAML have no substitutions, write '
                'the value itself'
            )
    return Config(values, filename=str(path))


def check_names(config: Any) -> None:
    """Check that a config that was read as data names no code and no file that can run code.

    Args:
        config: an mmengine config; its ``filename`` is used in messages.

    Raises:
        UserError: a ``type`` that is not the name of a registered component, a scope other than
            mmseg's, or a pickle or YAML file.
    """
    registered = _registered()
    for place, key, value in _entries(config.to_dict()):
        entry = f'config {config.filename}: {place} = {value!r}'
        if key in NAMES and not (isinstance(value, str) and value in registered):
            raise UserError(
                f'{entry} is not the name of a registered component, and JSON and YAML can name '
                'no others; if you trust it, use a Python config'
            )
        if key == 'default_scope' and value != SCOPE:
            raise UserError(f'{entry} is not {SCOPE!r}, the only scope that JSON and YAML can name')
        if isinstance(value, str) and value.lower().endswith(UNSAFE_FILES):
            raise UserError(f'{entry} is a file that can run code; JSON and YAML cannot name one')


def _entries(values: Any, parent: str = '') -> Iterator[tuple[str, str, Any]]:
    """Yield dotted path, key (or index, as a string) and value of every nested entry."""
    if isinstance(values, dict):
        entries = values.items()
    elif isinstance(values, (list, tuple)):
        entries = ((str(index), value) for index, value in enumerate(values))
    else:
        return
    for key, value in entries:
        place = f'{parent}.{key}' if parent else str(key)
        yield place, key, value
        yield from _entries(value, place)


def _registered() -> set[str]:
    """Return the names in all registries of mmengine and of packages that extend them."""
    from mmengine import registry

    names: set[str] = set()
    for root in vars(registry).values():
        if isinstance(root, registry.Registry):
            for node in (root, *root.children.values()):
                node.import_from_location()
                names |= node.module_dict.keys()
    return names
