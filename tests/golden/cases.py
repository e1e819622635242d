"""Golden cases: fixed inputs, and the values that reference implementations compute from them.

GOLDEN.md describes the files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.inputs import arrays, evaluate

SCHEMA = 2
LAYOUT_FUNCTIONS = ('state_dict_layout', 'checkpoint_layout')


class BadIndex(ValueError):
    """A folder of golden cases does not have the format of GOLDEN.md."""


@dataclass(frozen=True)
class Case:
    """One entry of an index.

    Attributes:
        folder: where the index and its arrays are.
        name: unique among the cases of the folder.
        function: what is computed; all its cases have the same parameters.
        about: what the function computes, as text.
        params: JSON values; null does not apply.
        specs: the inputs as the index describes them.
        figures: the expected outputs as the index describes them.
    """

    folder: Path
    name: str
    function: str
    about: str
    params: Mapping[str, Any]
    specs: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Any]]

    def inputs(self) -> dict[str, Any]:
        """All inputs by name: arrays, (nested) lists of arrays, Weights."""
        return {name: evaluate(spec, self.folder) for name, spec in self.specs.items()}

    def figure(self, name: str) -> Any:
        """The expected value: an array or a JSON value."""
        spec = self.figures[name]
        if 'json' in spec:
            return spec['json']
        figure = self.stored(spec['npz'], spec['key'])
        return np.nan_to_num(figure, nan=spec['nan_is']) if 'nan_is' in spec else figure

    def stored(self, file: str, key: str) -> np.ndarray:
        return arrays(self.folder / file)[key]


@dataclass(frozen=True)
class Layout:
    """Layout of a published network's state dict or checkpoints.

    Attributes:
        folder: as of a case.
        name: unique among the layouts of the folder.
        function: 'state_dict_layout' or 'checkpoint_layout'.
        content: of the file.
    """

    folder: Path
    name: str
    function: str
    content: Mapping[str, Any]


def read_folder(folder: Path) -> list[Case | Layout]:
    """All cases and layouts of a method's folder, in the order of its index.

    Raises:
        BadIndex: if the index does not have the format of GOLDEN.md.
        OSError: if there is no index or no file of a layout.
    """
    try:
        index = json.loads((folder / 'index.json').read_text())
    except json.JSONDecodeError as error:
        raise BadIndex(f'{folder}/index.json: {error}') from None
    if index.get('schema') != SCHEMA:
        raise BadIndex(f'{folder}: schema {index.get("schema")}, this reader knows {SCHEMA}')
    _check_keys(str(folder), index, {'schema', 'method', 'cases'}, {'layouts'})
    items = [_case(folder, entry) for entry in index['cases']]
    items += [_layout(folder, entry) for entry in index.get('layouts', ())]
    for kind in Case, Layout:
        names = [item.name for item in items if isinstance(item, kind)]
        if twice := {name for name in names if names.count(name) > 1}:
            several = f'several {kind.__name__.lower()}s'
            raise BadIndex(f'{folder}: {several} are called {", ".join(sorted(twice))}')
    return items


def _case(folder: Path, entry: Mapping[str, Any]) -> Case:
    place = f'{folder}: case {entry.get("name")}'
    keys = 'name', 'function', 'about', 'params', 'inputs', 'outputs'
    _check_keys(place, entry, set(keys))
    if not entry['outputs']:
        raise BadIndex(f'{place} has no figures')
    for name, spec in entry['outputs'].items():
        _check_figure(f'{place}: {name}', spec)
    return Case(folder, *(entry[key] for key in keys))


def _check_figure(place: str, spec: Mapping[str, Any]) -> None:
    if 'json' in spec:
        _check_keys(place, spec, {'json', 'rtol', 'atol'})
        return
    if 'l2' in spec:
        _check_keys(place, spec, {'npz', 'key', 'l2'}, {'shape', 'slice'})
    else:
        optional = {'shape', 'slice', 'nan_is', 'where', 'outliers'}
        _check_keys(place, spec, {'npz', 'key', 'rtol', 'atol'}, optional)
    if 'slice' in spec and 'shape' not in spec:
        raise BadIndex(f'{place} has a slice, but not the shape that it is taken from')
    if 'where' in spec:
        _check_keys(place, spec['where'], {'key', 'greater'})
    if 'outliers' in spec:
        _check_keys(place, spec['outliers'], {'share'}, {'axis', 'atol'})


def _layout(folder: Path, entry: Mapping[str, Any]) -> Layout:
    place = f'{folder}: layout {entry.get("name")}'
    _check_keys(place, entry, {'name', 'function', 'file'})
    if entry['function'] not in LAYOUT_FUNCTIONS:
        raise BadIndex(f'{place}: its function is {entry["function"]!r}')
    content = json.loads((folder / entry['file']).read_text())
    return Layout(folder, entry['name'], entry['function'], content)


def _check_keys(
    place: str, entry: Mapping[str, Any], required: set[str], optional: set[str] = frozenset()
) -> None:
    if missing := required - entry.keys():
        raise BadIndex(f'{place} lacks {", ".join(sorted(missing))}')
    if unknown := entry.keys() - required - optional:
        raise BadIndex(f'{place} has unknown keys: {", ".join(sorted(unknown))}')
