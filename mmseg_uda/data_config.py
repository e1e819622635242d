"""Configs in JSON and YAML, which are data: reading and building them runs no code of theirs.

A Python config is a program. mmengine would let a JSON or YAML file act as one too: it can import
modules, have a Python file as its base, and name any function as the ``type`` of a component.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmseg_uda.errors import UserError

SUFFIXES = ('.json', '.yaml', '.yml')
SCOPE = 'mmseg'
# Keys whose values mmengine looks up in a registry and, failing that, imports.
NAMES = ('type', 'constructor', 'runner_type')
# Files that mmengine reads by unpickling, or as YAML that may construct any object.
UNSAFE_FILES = ('.pkl', '.pickle', '.yaml', '.yml')


def is_data(path: Path) -> bool:
    """Whether a config file is JSON or YAML, by its suffix."""
    return path.suffix in SUFFIXES


def read_data(path: Path) -> Any:
    """The mmengine config in a JSON or YAML file, for which nothing is imported or substituted.

    Raises:
        UserError: an entry that would need that: ``_base_``, ``custom_imports``, ``{{ ... }}``.
        Exception: whatever a file that is no JSON or YAML gives.
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
            raise UserError(f'config {path}: the key {place} must be text')
        if key == 'custom_imports' or key.startswith('_') and key.endswith('_'):
            raise UserError(
                f'config {path}: {place} is for Python configs alone; JSON and YAML are data'
            )
        if '{{' in key or isinstance(value, str) and '{{' in value:
            raise UserError(
                f'config {path}: {place} = {value!r}: nothing is substituted in JSON and YAML, '
                'write the value itself'
            )
    return Config(values, filename=str(path))


def check_names(config: Any) -> None:
    """Refuse a config that was read as data and names code, or a file that could run some.

    Args:
        config: an mmengine config; its ``filename`` is for messages.

    Raises:
        UserError: a ``type`` that is not the plain name of a registered component, a scope other
            than mmseg's, or a pickle.
    """
    registered = _registered()
    for place, key, value in _entries(config.to_dict()):
        said = f'config {config.filename}: {place} = {value!r}'
        if key in NAMES and not (isinstance(value, str) and value in registered):
            raise UserError(
                f'{said} is not the name of a registered component, and JSON and YAML can name '
                'no other; if you trust it, write a Python config'
            )
        if key == 'default_scope' and value != SCOPE:
            raise UserError(f'{said} is not {SCOPE!r}, the only one that JSON and YAML can name')
        if isinstance(value, str) and value.lower().endswith(UNSAFE_FILES):
            raise UserError(f'{said} is a file that can run code; JSON and YAML cannot name one')


def _entries(values: Any, parent: str = '') -> Iterator[tuple[str, str, Any]]:
    """Dotted place, key (or index, as text) and value of every nested entry."""
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
    """Names in all registries of mmengine and of the packages that extend them, ours included."""
    from mmengine import registry

    names: set[str] = set()
    for root in vars(registry).values():
        if isinstance(root, registry.Registry):
            for node in (root, *root.children.values()):
                node.import_from_location()
                names |= node.module_dict.keys()
    return names
