"""Golden cases as the index files describe them: inputs, parameters, stored arrays, tolerances.

A golden folder has one sub-folder per method with an index (JSON) and arrays (npz). The indexes
were written by several hands: cases come as a list, as a mapping or in groups, and call the same
thing by different names. :func:`read_cases` brings them into one form; nothing here knows what a
case computes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .expressions import UnreadableInput, evaluate, number_after
from .fill import fill_state_dict


class BadIndex(ValueError):
    """A golden folder whose index cannot be used."""


class UnknownCase(LookupError):
    """Nothing of ours is known to compute this case. It fails; it is never skipped."""


@dataclass(frozen=True)
class Output:
    """One figure of a case: where it is stored and what part of the full result it holds."""

    name: str
    expected: np.ndarray
    note: str = ''
    rtol: float | None = None
    atol: float | None = None


@dataclass(frozen=True)
class Case:
    """One entry of an index.

    Attributes:
        method: which method's functions the case computes.
        name: unique within the folder.
        folder: where the arrays are.
        entry: everything that the index says about the case.
        defaults: the tolerance that holds where the entry gives none.
    """

    method: str
    name: str
    folder: Path
    entry: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f'{self.folder.name}-{self.name}'

    @property
    def params(self) -> dict[str, Any]:
        return self._first('params', 'hyper', 'hyper_parameters', 'parameters') or {}

    @property
    def inputs(self) -> dict[str, Any]:
        return self.entry.get('inputs') or {}

    @property
    def text(self) -> str:
        """What the index says about the case in words."""
        words = (self._first('what', 'function') or '', self._first('notes', 'note') or '')
        return '\n'.join(map(str, words))

    @cached_property
    def tolerance(self) -> tuple[float, float]:
        """Relative and absolute tolerance of the case.

        In words, it is exact but for what the family grants (``noise``, see ``mismatches``).
        """
        given = self.entry if 'rtol' in self.entry else self.entry.get('tolerance', self.defaults)
        if isinstance(given, str) or (isinstance(given, Mapping) and given.get('exact')):
            return 0.0, 0.0
        if self._kinds:
            given = self.defaults
        if isinstance(given, Mapping) and 'step1' in given:  # in words, which the family reads
            return 0.0, 0.0
        if not isinstance(given, Mapping) or not {'rtol', 'atol'} & set(given):
            raise BadIndex(f'{self.id}: no rtol or atol in {given!r}')
        return float(given.get('rtol', 0)), float(given.get('atol', 0))

    def tolerance_of(self, name: str) -> tuple[float, float]:
        """Tolerance of a figure, if it has one that of its kind: ``{'norms': {'rtol': 0.001}}``.

        The name says the kind: it contains it, in the singular or in the plural.
        """
        for kind, numbers in self._kinds.items():
            if kind.removesuffix('s') in name:
                return float(numbers.get('rtol', 0)), float(numbers.get('atol', 0))
        return self.tolerance

    @property
    def _kinds(self) -> dict[str, Mapping]:
        given = self.entry.get('tolerance')
        kinds = given.items() if isinstance(given, Mapping) else ()
        return {kind: numbers for kind, numbers in kinds if isinstance(numbers, Mapping)}

    @cached_property
    def outputs(self) -> dict[str, Output]:
        """The stored figures by name."""
        found = {output.name: output for output in self._outputs()}
        if not found:
            raise BadIndex(f'{self.id}: the case lists no outputs')
        return found

    def input(self, *words: str, **variables: Any) -> Any:
        """The input whose name fits ``words`` best, evaluated (arrays are NumPy).

        Args:
            words: Names in order of preference; the first that is an input's name, else the first
                that is part of one.
            variables: Values for the names in the description: ``i`` for ``<i>``, ``shape`` for
                ``...``.
        """
        key = self._key(words)
        if key not in self.inputs:
            return self.array(self.entry['stored_inputs'][key]['array'])
        value = self.inputs[key]
        if isinstance(value, Mapping):
            return self._described(value)
        return evaluate(value, variables) if isinstance(value, str) else value

    def description(self, *words: str) -> str:
        """The input as it stands in the index, for what is not an array."""
        return self.inputs[self._key(words)]

    def has_input(self, *words: str) -> bool:
        return self._key(words, required=False) is not None

    def filled(self, state: Mapping[str, Any], *words: str) -> dict[str, Any]:
        """``state`` filled by its own names with the seed that the case gives for its weights."""
        words = words or ('weights', 'network')
        return fill_state_dict(state, number_after('seed', self.description(*words)))

    def array(self, key: str) -> np.ndarray:
        arrays = _arrays(self.folder / self.entry['file'])
        if key not in arrays:
            raise BadIndex(f'{self.id}: {self.entry["file"]} has no array {key!r}')
        return arrays[key]

    def _first(self, *keys: str) -> Any:
        return next((self.entry[key] for key in keys if key in self.entry), None)

    def _key(self, words: tuple[str, ...], required: bool = True) -> str | None:
        given = {**self.inputs, **self.entry.get('stored_inputs', {})}
        names = [name for name, value in given.items() if value is not None]
        for word in words:
            if word in names:
                return word
        for word in words:
            for name in names:
                if word in name:
                    return name
        if required:
            raise UnreadableInput(f'{self.id}: no input {" or ".join(words)} among {names}')
        return None

    def _described(self, value: Mapping[str, Any]) -> Any:
        """An input given as ``{"fill": generator, "name": ...}`` or ``{"npz": array}``."""
        if 'npz' in value:
            return self.array(value['npz'])
        arguments = dict(value)
        generator, factor = arguments.pop('fill'), arguments.pop('times', 1)
        words = arguments.pop('then', '')
        call = ', '.join(f'{name}={argument!r}' for name, argument in arguments.items())
        return evaluate(f'{factor!r} * fill.{generator}({call}); {words}')

    @property
    def _own_name(self) -> str:
        """The name in the index, which arrays may begin with (``name`` may add the group's)."""
        return self.entry.get('name', self.entry.get('id', self.name))

    def _outputs(self) -> Iterator[Output]:
        for name in ('steps', 'steps_documented'):
            if isinstance(self.entry.get(name), list):
                yield Output(name, np.array(self.entry[name], dtype=object))
        listed = self.entry.get('outputs', self.entry.get('arrays'))
        if not isinstance(listed, Mapping):  # [[array, shape], ...]
            listed = {key: {'array': key} for key, *_ in listed or ()}
        for name, given in listed.items():
            given = given if isinstance(given, Mapping) else {}
            if self._is_input(name):
                continue
            if 'value' in given:
                expected = np.asarray(given['value'])
            else:
                expected = self._stored(name, given.get('array', given.get('npz')))
            note = given.get('subsample', given.get('desc', ''))
            yield Output(
                name.removeprefix(f'{self._own_name}/').removeprefix(f'{self._own_name}.'),
                expected,
                note,
                given.get('rtol'),
                given.get('atol'),
            )

    def _stored(self, name: str, key: str | None) -> np.ndarray:
        """The array of an output, by the given key or by the usual ways to derive one."""
        arrays = _arrays(self.folder / self.entry['file'])
        own = self._own_name
        candidates = (key,) if key else (name, f'{own}/{name}', f'{own}.{name}')
        for candidate in candidates:
            if candidate in arrays:
                return arrays[candidate]
        raise BadIndex(f'{self.id}: {self.entry["file"]} has none of the arrays {candidates}')

    def _is_input(self, name: str) -> bool:
        return name.startswith(('in_', f'{self._own_name}.in.', f'{self._own_name}/in/'))


def read_cases(folder: Path) -> list[Case]:
    """All cases of one method's folder.

    Raises:
        BadIndex: if there is no index, more than one, or none of its cases has a name.
    """
    path, index = _index(folder)
    method = re.match(r'\w+', str(index.get('method', folder.name)))[0]
    entries = list(_entries(index))
    if not entries:
        raise BadIndex(f'{path}: no cases')
    for name, _ in entries:
        if not name:
            raise BadIndex(f'{path}: a case without a name')
    defaults = index.get('default_tolerance', {})
    return [Case(method, name, folder, entry, defaults) for name, entry in entries]


def _index(folder: Path) -> tuple[Path, dict]:
    found = []
    for path in sorted(folder.glob('*.json')):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and {'cases', 'groups'} & set(content):
            found.append((path, content))
    if len(found) != 1:
        names = [path.name for path, _ in found]
        raise BadIndex(f'{folder}: one index with "cases" is needed, found {names}')
    return found[0]


def _entries(index: Mapping[str, Any]) -> Iterator[tuple[str, dict]]:
    """Names and entries, whether the index has a list, a mapping or groups with a common file."""
    if 'groups' in index:
        for group in index['groups']:
            stem = Path(group['file']).stem
            for entry in group['cases']:
                yield f'{stem}.{entry["name"]}', {**entry, 'file': group['file']}
    elif isinstance(index['cases'], dict):
        yield from index['cases'].items()
    else:
        for entry in index['cases']:
            yield entry.get('name', entry.get('id')), entry


@lru_cache(maxsize=32)
def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise BadIndex(f'{path} is missing')
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}
