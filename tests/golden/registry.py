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
    """A parameter has a value that our code does not support."""


class Unknown(Unsupported):
    """Our code has no function or network of this name."""


def golden(name: str) -> Callable[[Function], Function]:
    """Register the implementation of the golden function ``name``.

    It takes the parameters and inputs of a case and returns results by output name.
    """

    def register(function: Function) -> Function:
        if name in FUNCTIONS:
            raise ValueError(f'two functions compute {name!r}')
        FUNCTIONS[name] = function
        return function

    return register


class Params(Mapping):
    """Parameters or inputs of a case that record which of them were read.

    A parameter that was not read had no influence on the results, so a case with another value
    would be computed wrongly. :meth:`unread` finds them, also in nested mappings.
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
        """The named parameters that are not null."""
        return {name: self[name] for name in names if self.get(name) is not None}

    def plain(self) -> dict[str, Any]:
        """All parameters as a dictionary."""
        return {name: plain(value) for name, value in self.items()}

    def unread(self) -> list[str]:
        """Names of non-null parameters that were not read; ``outer.inner`` if nested."""
        names = []
        for name, value in self._values.items():
            if value is not None and name not in self._read:
                names.append(name)
            elif isinstance(value, Params):
                names += [f'{name}.{inner}' for inner in value.unread()]
        return names


def plain(value: Any) -> Any:
    """A parameter that may be a mapping, in the form our code takes."""
    return value.plain() if isinstance(value, Params) else value


def only(params: Params, **supported: Any) -> None:
    """Refuse parameter values that our code does not support.

    Raises:
        Unsupported: for another value.
    """
    for name, value in supported.items():
        if params[name] != value:
            raise Unsupported(f'{name} is {params[name]!r}, ours is always {value!r}')


def refuse(params: Params, *names: str) -> None:
    """Refuse parameters that our code lacks unless they are missing, null or 0."""
    for name, value in params.given(*names).items():
        if value:
            raise Unsupported(f'{name} is {value!r}, ours has no such option')


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, order='C'))


def label_maps(array: np.ndarray) -> Tensor:
    """Label maps as int64."""
    return tensor(array).long()
