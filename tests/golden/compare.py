"""Compare results with the expected values of a case, within the case's tolerances."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tests.golden.cases import Case
from tests.golden.inputs import parse_slice


def differences(case: Case, results: Mapping[str, Any]) -> list[str]:
    """Differences, one per line; empty if all expected values are met.

    ``results`` may contain more values than the case. The result of ``log[0].loss`` is
    ``results['log[0].loss']`` or ``results['log'][0]['loss']``.
    """
    problems: list[str] = []
    for name, spec in case.figures.items():
        try:
            result = _result(results, name)
        except (LookupError, TypeError):
            problems.append(f'{name}: no result')
            continue
        if 'json' in spec:
            problems += _tree_differences(name, result, spec['json'], spec)
        else:
            problems += _array_differences(case, name, _as_array(result))
    return problems


def _result(results: Mapping[str, Any], name: str) -> Any:
    if name in results:
        return results[name]
    base, indices, key = re.fullmatch(r'(\w+)((?:\[\d+\])*)(?:\.(.+))?', name).groups()
    value = results[base]
    for index in re.findall(r'\d+', indices):
        value = value[int(index)]
    return value if key is None else value[key]


def _array_differences(case: Case, name: str, actual: np.ndarray) -> list[str]:
    spec, expected = case.figures[name], case.figure(name)
    shape = tuple(spec.get('shape', expected.shape))
    if _without_ones(actual.shape) != _without_ones(shape):
        return [f'{name}: shape {actual.shape} instead of {shape}']
    actual = actual.reshape(shape)[parse_slice(spec.get('slice', '...'))]
    if 'l2' in spec:
        error, size = np.linalg.norm(actual - expected), np.linalg.norm(expected)
        if error <= spec['l2'] * size:
            return []
        return [f'{name}: L2 error {error:g}, more than {spec["l2"]:g} of {size:g}']

    wrong = ~_close(actual, expected, spec['rtol'], spec['atol'])
    if 'where' in spec:
        wrong &= case.stored(spec['npz'], spec['where']['key']) > spec['where']['greater']
    if 'outliers' in spec:
        outliers = spec['outliers']
        positions = wrong.any(axis=outliers['axis']) if 'axis' in outliers else wrong
        if positions.sum() <= math.ceil(outliers['share'] * positions.size):
            if 'atol' not in outliers:
                return []
            wrong &= ~_close(actual, expected, 0, outliers['atol'])
    if not wrong.any():
        return []
    distance = np.abs(actual.astype(float) - expected.astype(float))
    worst = np.where(wrong, np.nan_to_num(distance, nan=np.inf), -1).argmax()
    place = tuple(map(int, np.unravel_index(worst, wrong.shape)))
    return [
        f'{name}: {wrong.sum()} of {wrong.size} values differ (rtol {spec["rtol"]:g}, '
        f'atol {spec["atol"]:g}), most at {place}: {actual[place]} instead of {expected[place]}'
    ]


def _tree_differences(name: str, actual: Any, expected: Any, spec: Mapping) -> Iterator[str]:
    """Differences of JSON values: floats within the tolerance, everything else exactly."""
    if hasattr(actual, 'tolist'):
        actual = actual.tolist()
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        actual = {str(key): value for key, value in actual.items()}
        for key in sorted(expected.keys() | actual.keys()):
            pair = actual.get(key, 'nothing'), expected.get(key, 'nothing')
            yield from _tree_differences(f'{name}.{key}', *pair, spec)
    elif isinstance(expected, list) and isinstance(actual, list | tuple):
        if len(actual) != len(expected):
            yield f'{name}: {len(actual)} items instead of {len(expected)}'
        for index, pair in enumerate(zip(actual, expected, strict=False)):
            yield from _tree_differences(f'{name}[{index}]', *pair, spec)
    elif isinstance(expected, float) and isinstance(actual, int | float):
        if not _close(actual, expected, spec['rtol'], spec['atol']):
            yield f'{name}: {actual} instead of {expected}'
    elif actual != expected:
        yield f'{name}: {actual!r:.200} instead of {expected!r:.200}'


def _as_array(value: Any) -> np.ndarray:
    array = np.asarray(value.detach().cpu() if hasattr(value, 'detach') else value)
    return array.astype(np.int64) if array.dtype == bool else array


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _close(actual: Any, expected: Any, rtol: float, atol: float) -> np.ndarray:
    """Elementwise |actual - expected| <= atol + rtol |expected|; NaN equals NaN."""
    actual, expected = (np.asarray(value, np.float64) for value in (actual, expected))
    return np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
