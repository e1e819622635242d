"""Families of golden cases: what of ours computes the figures of a case.

A family is a function that takes a :class:`~..cases.Case` and returns results by output name. It
announces itself with ``@family('daformer', r'mit_b\\d')``: the method's name and the beginnings of
case names that it computes. Names, seeds, shapes and figures come from the case alone, so a family
serves every other case of the same function. To add one, write the function in the module of its
topic (a new topic: a new module here; all are found by themselves).
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from typing import Any

from ..cases import Case, UnknownCase

Results = dict[str, Any]
Family = Callable[[Case], Results]

_families: list[tuple[str, re.Pattern, Family]] = []


def family(method: str, *beginnings: str) -> Callable[[Family], Family]:
    """Register a function for the cases of ``method`` whose names begin with a pattern."""

    def register(function: Family) -> Family:
        _families.extend((method, re.compile(pattern), function) for pattern in beginnings)
        return function

    return register


def find(case: Case) -> Family:
    """The family whose pattern covers most of the case's name.

    Raises:
        UnknownCase: if there is none.
    """
    best, covered = None, 0
    for method, pattern, function in _families:
        match = pattern.match(case.name) if method == case.method else None
        if match and match.end() > covered:
            best, covered = function, match.end()
    if best is None:
        raise UnknownCase(f'no family of {case.method!r} computes the case {case.name!r}')
    return best


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
