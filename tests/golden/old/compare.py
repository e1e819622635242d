"""Comparing results with golden figures: sub-samples, tolerances, exceptions that notes grant."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .cases import Case, Output
from .expressions import index


class UnreadableNote(ValueError):
    """A note describes a sub-sample that this reader does not know."""


def mismatches(case: Case, results: Mapping[str, Any]) -> list[str]:
    """What differs between ``results`` and the case's figures, one line each; empty if all agree.

    Every stored figure needs a result; results that this case does not store are passed over.
    ``results`` may also hold ``params.<name>``: what the case may state among its parameters
    (a table, a list of files), to be met exactly; and ``noise.<output>``, the rounding error of a
    result, or what else the case grants it, by which the tolerance grows.
    """
    problems = []
    for output in case.outputs.values():
        if output.name not in results:
            problems.append(f'{output.name}: no result')
            continue
        noise = results.get(f'noise.{output.name}', 0.0)
        problems += _differences(case, output, results[output.name], noise)
    for name, stated in case.params.items():
        result = _plain(results.get(f'params.{name}', stated))
        if result != stated:
            problems.append(f'params.{name}: {str(result):.300} is not {str(stated):.300}')
    return problems


def _differences(case: Case, output: Output, result: Any, noise: Any = 0.0) -> list[str]:
    expected = output.expected
    if expected.dtype == object:
        return _nested_differences(case, output.name, _plain(result), expected.tolist())
    try:
        actual = subsample(as_array(result), output.note)
    except (UnreadableNote, IndexError) as error:
        return [f'{output.name}: {error}']
    if np.squeeze(actual).shape != np.squeeze(expected).shape:
        return [f'{output.name}: shape {actual.shape}, the figure has {expected.shape}']
    actual = actual.reshape(expected.shape)
    if re.search(r'\b0 instead of nan\b', case.text, re.IGNORECASE):
        expected = np.nan_to_num(expected, nan=0.0)

    if not np.isscalar(noise):
        noise = subsample(as_array(noise), output.note).reshape(expected.shape)
        expected = expected + np.clip(actual - expected, -noise, noise)

    rtol, atol = case.tolerance_of(output.name)
    rtol = rtol if output.rtol is None else output.rtol
    atol = atol if output.atol is None else output.atol
    counted = _where_it_counts(case, output)
    allowed = share_of_outliers(f'{case.text}\n{output.note}')
    if expected.ndim > 2:
        allowed = max(allowed, share_of_outliers(str(case.entry.get('tolerance'))))
    problems = _outside(output.name, actual, expected, rtol, atol, counted, allowed)

    first = re.search(r'first row of (\w+) should agree to rtol ([\d.e-]+)', case.text)
    if first and first[1] == output.name and rtol > 0:
        stricter = float(first[2])
        problems += _outside(
            f'{output.name}[0]', actual[0], expected[0], stricter, atol * stricter / rtol
        )
    return problems


def _nested_differences(case: Case, name: str, actual: Any, expected: Any) -> list[str]:
    """Differences in mappings and lists; numbers have the tolerance of the case.

    A case may give others for what is logged: ``log_tolerance``, of losses and accuracies.
    """
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        keys = [*expected, *(key for key in actual if key not in expected)]
        pairs = [(key, actual.get(key), expected.get(key)) for key in keys]
    elif isinstance(expected, list) and isinstance(actual, list) and len(actual) == len(expected):
        pairs = [(index, a, e) for index, (a, e) in enumerate(zip(actual, expected, strict=True))]
    elif isinstance(expected, float) and isinstance(actual, int | float):
        rtol, atol = case.tolerance_of(name)
        if name.startswith('log') and 'log_tolerance' in case.entry:
            given = case.entry['log_tolerance']['acc' if 'acc' in name else 'losses']
            rtol, atol = given['rtol'], given['atol']
        # Accuracies (percent) and shares of confident pixels move as far as pixels may differ.
        pixels = share_of_outliers(str(case.entry.get('tolerance')))
        if '.acc_' in name:
            atol = max(atol, 100 * pixels)
        elif name.endswith('weight'):
            atol = max(atol, pixels)
        same = np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
        return [] if same else [f'{name}: {actual} instead of {expected}']
    else:
        same = actual == expected
        return [] if same else [f'{name}: {actual!r:.200} instead of {expected!r:.200}']
    return [
        line for key, a, e in pairs for line in _nested_differences(case, f'{name}.{key}', a, e)
    ]


def _outside(
    name: str,
    actual: np.ndarray,
    expected: np.ndarray,
    rtol: float,
    atol: float,
    counted: np.ndarray | None = None,
    allowed: float = 0.0,
) -> list[str]:
    """A line if more than a share ``allowed`` of the pixels (rounded up) is out of tolerance."""
    wrong = ~close(actual, expected, rtol, atol)
    if counted is not None:
        wrong &= counted
    if wrong.ndim == 4:  # a pixel is wrong when any of its channels is
        pixels = wrong.any(axis=1)
    else:
        pixels = wrong
    if pixels.sum() <= math.ceil(allowed * pixels.size):
        return []
    worst = _worst(actual, expected, wrong)
    return [
        f'{name}: {wrong.sum()} of {wrong.size} values differ (rtol {rtol:g}, atol {atol:g}); '
        f'worst at {worst}: {actual[worst]} instead of {expected[worst]}'
    ]


def close(actual: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Elementwise |actual - expected| <= atol + rtol |expected|; NaN equals NaN.

    Integers (labels, counts, positions) are never granted a relative tolerance.
    """
    if np.issubdtype(expected.dtype, np.integer):
        rtol = 0.0
    if not np.issubdtype(expected.dtype, np.number):
        return actual == expected
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    return np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)


def subsample(array: np.ndarray, note: str) -> np.ndarray:
    """The part of ``array`` that ``note`` names.

    Notes look like ``[..., ::2, ::2]``, ``channels [::16] of shape [1, 256, 17, 17]``, ``rows
    [::4]``. Other words (what the array is) select nothing.

    Raises:
        UnreadableNote: if the array has another shape than the note says it has.
    """
    shape = re.search(r'(?:of|full) shape (\[[\d,\s]*\])', note)
    if shape and list(array.shape) != _integers(shape[1]):
        raise UnreadableNote(f'shape {list(array.shape)}, the note says {shape[1]}')
    for word, text in re.findall(r'(\w+)?\s*\[([\d\s,:.-]*:[\d\s,:.-]*)\]', note):
        axis = {'channels': 1, 'rows': -2, 'columns': -1}.get(word)
        keys = index(text)
        if axis is not None and len(keys) == 1:
            keys = (slice(None),) * (axis % array.ndim) + keys
        if word == 'pixels':
            keys = (..., *keys)
        array = array[keys]
    return array


def _integers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'\d+', text)]


def share_of_outliers(text: str) -> float:
    """Share of pixels that a note allows to differ: ``... 0.1 percent of the pixels ...``.

    Of labels it may say how many agree: ``>= 99.8 % equal``; of what follows from them, the same.
    """
    if equal := re.search(r'>= ([\d.]+) ?% equal', text):
        return 1 - float(equal[1]) / 100
    number = r'([\d.]+) ?(?:percent|%) of the pixels'
    found = (
        re.search(rf'allow\w* (?:at most )?{number}', text)
        or re.search(rf'up to {number} may differ', text)
        or re.search(rf'\(< {number}\) are acceptable', text)
    )
    return float(found[1]) / 100 if found else 0.0


def _where_it_counts(case: Case, output: Output) -> np.ndarray | None:
    """Positions to compare, when a note of another output limits them.

    ``a_margin`` with the note "compare a only where it exceeds 1e-4" says where ``a`` counts.
    """
    for other in case.outputs.values():
        limit = re.search(r'compare (\w+) only where it exceeds ([\d.e-]+)', other.note)
        if limit and other.name == f'{output.name}_margin':
            return other.expected > float(limit[2])
    return None


def _worst(actual: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> tuple[int, ...]:
    if not np.issubdtype(expected.dtype, np.number):
        return tuple(int(i) for i in np.argwhere(wrong)[0])
    distance = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    distance = np.where(wrong, np.nan_to_num(distance, nan=np.inf), -1)
    return tuple(int(i) for i in np.unravel_index(distance.argmax(), distance.shape))


def as_array(value: Any) -> np.ndarray:
    """Tensors, lists and numbers as NumPy; truth values as integers, as they are stored."""
    if hasattr(value, 'detach'):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    return array.astype(np.int64) if array.dtype == bool else array


def _plain(value: Any) -> Any:
    """``value`` as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, 'tolist'):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
