"""Golden functions by name, and how a function reads its parameters."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Results = dict[str, Any]
Function = Callable[['Params', 'Params'], Results]

FUNCTIONS: dict[str, Function] = {}


class Unsupported(ValueError):
    """A value of a parameter that nothing here can compute with."""


def golden(name: str) -> Callable[[Function], Function]:
    """Register what computes the cases of the golden function ``name``.

    It takes the parameters and the inputs of a case, and returns results by names of figures.
    """

    def register(function: Function) -> Function:
        if name in FUNCTIONS:
            raise ValueError(f'two functions compute {name!r}')
        FUNCTIONS[name] = function
        return function

    return register


class Params(Mapping):
    """Parameters or inputs of a case; it remembers which of them were read.

    A parameter that no one reads had no influence on the results, so that a case with another value
    would be computed wrongly. :meth:`unread` finds them, also within nested mappings.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {
            name: Params(value) if isinstance(value, Mapping) else value
            for name, value in values.items()
        }
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._read.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the named parameters that apply."""
        return {name: self[name] for name in names if self.get(name) is not None}

    def plain(self) -> dict[str, Any]:
        """All of them in a dictionary."""
        return {name: plain(value) for name, value in self.items()}

    def unread(self) -> list[str]:
        """Names of the parameters that apply and were not read; ``outer.inner`` of nested ones."""
        names = []
        for name, value in self._values.items():
            if value is not None and name not in self._read:
                names.append(name)
            elif isinstance(value, Params):
                names += [f'{name}.{inner}' for inner in value.unread()]
        return names


def plain(value: Any) -> Any:
    """A parameter that may be a mapping, as our code takes it."""
    return value.plain() if isinstance(value, Params) else value


def only(params: Params, **supported: Any) -> None:
    """Refuse other values of parameters than the ones that our code has.

    Raises:
        Unsupported: for another value.
    """
    for name, value in supported.items():
        if params[name] != value:
            raise Unsupported(f'{name} is {params[name]!r}, ours is always {value!r}')


def refuse(params: Params, *names: str) -> None:
    """Refuse parameters that our code has not: they may be missing, null or 0."""
    for name, value in params.given(*names).items():
        if value:
            raise Unsupported(f'{name} is {value!r}, ours has no such option')


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, order='C'))


def label_maps(array: np.ndarray) -> Tensor:
    """Label maps as int64, as our functions take them."""
    return tensor(array).long()
