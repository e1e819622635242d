"""Inputs of golden cases: arrays from the specs that GOLDEN.md lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden import fill


@dataclass(frozen=True)
class Weights:
    """Values of a state dict, generated from the names of its entries.

    Entries whose name begins with a key of ``factors`` are multiplied by its value.
    """

    seed: int
    factors: Mapping[str, float] = field(default_factory=dict)

    def fill(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of ``state`` (names, shapes and types) with the case's values."""
        filled = fill.fill_state_dict(state, self.seed)
        for beginning, factor in self.factors.items():
            for name in filled:
                if name.startswith(beginning):
                    filled[name] = factor * filled[name]
        return filled


def parse_slice(text: str) -> tuple[Any, ...]:
    """Parse a slice such as ``..., ::2, 0:4`` into an array index."""
    return tuple(_parse_part(part.strip()) for part in text.split(','))


def _parse_part(part: str) -> Any:
    if part == '...':
        return ...
    if ':' in part:
        return slice(*(int(number) if number else None for number in part.split(':')))
    return int(part)


def _softmax(value: np.ndarray, axis: int) -> np.ndarray:
    power = np.exp(value - value.max(axis, keepdims=True))
    return power / power.sum(axis, keepdims=True)


def _standardise(value: np.ndarray, by: Mapping[str, Sequence[float]]) -> np.ndarray:
    mean, std = (np.array(by[name], np.float32)[:, None, None] for name in ('mean', 'std'))
    return (value - mean) / std


def _repeat(value: np.ndarray, times: Sequence[int]) -> np.ndarray:
    for axis, number in enumerate(times):
        value = value.repeat(number, axis)
    return value


FILLS: dict[str, Callable[..., Any]] = {
    'image': fill.image,
    'labels': fill.labels,
    'array': fill.fill_array,
    'constant': lambda value, shape, dtype: np.full(shape, value, dtype),
    'state_dict': Weights,
}
OPERATIONS: dict[str, Callable[[np.ndarray, Any], np.ndarray]] = {
    'scale': lambda value, factor: factor * value,
    'offset': lambda value, summand: value + summand,
    'power': lambda value, exponent: value**exponent,
    'abs': lambda value, _: np.abs(value),
    'round': lambda value, _: np.rint(value),
    'clip': lambda value, limits: np.clip(value, *limits),
    'softmax': _softmax,
    'unit_length': lambda value, axis: value / np.linalg.norm(value, axis=axis, keepdims=True),
    'standardise': _standardise,
    'replace': lambda value, pair: np.where(value == pair[0], pair[1], value).astype(value.dtype),
    'repeat': _repeat,
    'slice': lambda value, text: value[parse_slice(text)],
    'dtype': lambda value, name: value.astype(name),
}


@lru_cache(maxsize=16)
def arrays(path: Path) -> Mapping[str, np.ndarray]:
    """All arrays of a file. They are cached: copy one before changing it."""
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def evaluate(spec: Any, folder: Path) -> Any:
    """Array of a spec; a list for a list of specs, Weights for a state dict.

    Raises:
        KeyError, TypeError, ValueError: for a fill, an operation or a key that GOLDEN.md does not
            list, and for an array that is not stored.
    """
    if isinstance(spec, list):
        return [evaluate(item, folder) for item in spec]
    rest = dict(spec)
    operations = rest.pop('then', ())
    if 'npz' in rest:
        value = arrays(folder / rest.pop('npz'))[rest.pop('key')].copy()
    elif 'sum' in rest:
        value = sum(evaluate(item, folder) for item in rest.pop('sum'))
    else:
        value, rest = FILLS[rest.pop('fill')](**rest), {}
    if rest:
        raise ValueError(f'unknown keys of an input: {", ".join(rest)}')
    for operation in operations:
        ((name, argument),) = operation.items()
        value = OPERATIONS[name](value, argument)
    return value
