"""The runner of the golden cases: it fails where it must and applies the tolerances of a case."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden import fill
from tests.golden.cases import Case, read_folder
from tests.golden.compare import differences
from tests.golden.inputs import evaluate, parse_slice
from tests.golden.registry import Params, Unknown, Unsupported, golden, only, refuse
from tests.golden.test_golden import collect, problems_of

ENTRY = dict(
    name='case',
    function='class_weights',
    about='weights',
    params=dict(frequencies=[0.5, 0.25, 0.25], sigmas=[0.0]),
    inputs={},
    outputs={'weights[0]': dict(npz='a.npz', key='ones', rtol=0, atol=1e-6)},
)


def write(folder: Path, entry: dict, **index) -> Path:
    """A folder with one case; its arrays are ``ones`` and ``ramp``."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / 'a.npz', ones=np.ones(3), ramp=np.arange(6.0).reshape(2, 3))
    content = dict(schema=2, method='toy', cases=[entry]) | index
    (folder / 'index.json').write_text(json.dumps(content))
    return folder


def problems(folder: Path, entry: dict, **index) -> list[str]:
    """Problems that the runner reports for the case in a folder."""
    write(folder, entry, **index)
    return [line for test in collect(folder.parent) for line in problems_of(test.values[0])]


def changed(**changes) -> dict:
    return ENTRY | changes


def test_a_right_figure_passes(tmp_path) -> None:
    assert problems(tmp_path / 'toy', ENTRY) == []
    (test,) = collect(tmp_path)
    assert test.id == 'toy-case'


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (
            changed(outputs={'weights[0]': dict(json=[1.0, 1.0, 2.0], rtol=0, atol=0.5)}),
            'weights[0][2]: 1.0 instead of 2.0',
        ),
        (
            changed(outputs={'weights[1]': dict(json=[1.0], rtol=0, atol=0)}),
            'weights[1]: no result',
        ),
        (changed(params=ENTRY['params'] | dict(size=3)), 'parameter size had no influence'),
        (
            changed(inputs={'x': dict(fill='constant', value=1, shape=[2], dtype='int64')}),
            'input x had no influence',
        ),
        (changed(surprise=1), 'has unknown keys: surprise'),
        (changed(outputs={}), 'has no figures'),
        (
            changed(outputs={'weights': dict(json=1, rtol=0, atol=0, l1=3)}),
            'has unknown keys: l1',
        ),
        (
            changed(outputs={'weights': dict(npz='a.npz', key='ones', rtol=0)}),
            'lacks atol',
        ),
        (
            changed(outputs={'w': dict(npz='a.npz', key='ones', l2=0.1, slice=':2')}),
            'not the shape that it is taken from',
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_fails(entry: dict, message: str, tmp_path) -> None:
    assert message in '\n'.join(problems(tmp_path / 'toy', entry))


def test_bad_folders_fail(tmp_path) -> None:
    assert 'no sub-folder' in '\n'.join(problems_of(collect(tmp_path)[0].values[0]))
    folder = tmp_path / 'toy'
    assert 'schema 3' in '\n'.join(problems(folder, ENTRY, schema=3))
    assert 'unknown keys: extra' in '\n'.join(problems(folder, ENTRY, extra=1))
    assert 'several cases are called case' in '\n'.join(problems(folder, ENTRY, cases=[ENTRY] * 2))
    layouts = [dict(name='a', function='guess', file='index.json')]
    assert "its function is 'guess'" in '\n'.join(problems(folder, ENTRY, layouts=layouts))
    (folder / 'index.json').unlink()
    (test,) = collect(tmp_path)
    assert test.id == 'toy-index' and 'index.json' in problems_of(test.values[0])[0]


def test_layouts_are_compared(tmp_path) -> None:
    layouts = [dict(name='mit_b0', function='state_dict_layout', file='mit_b0.json')]
    write(tmp_path / 'toy', ENTRY, layouts=layouts)

    def layout_problems(**content) -> list[str]:
        content = dict(name='mit_b0', function='state_dict_layout') | content
        (tmp_path / 'toy' / 'mit_b0.json').write_text(json.dumps(content))
        return problems_of(read_folder(tmp_path / 'toy')[-1])

    assert layout_problems(parameters=3319392) == []
    assert layout_problems(parameters=7) == ['parameters: 3319392 instead of 7']
    assert layout_problems(state_dict=[]) == ['state_dict: 176 entries instead of 0']
    assert layout_problems(colour='blue') == ['colour: nothing here checks it']


def test_a_network_without_a_name_here_fails(tmp_path) -> None:
    (tmp_path / 'index.json').write_text('{}')
    layouts = [dict(name='mystery', function='state_dict_layout', file='index.json')]
    write(tmp_path / 'toy', ENTRY, layouts=layouts)
    with pytest.raises(Unknown, match='mystery'):
        problems_of(read_folder(tmp_path / 'toy')[-1])


def test_a_function_without_a_name_here_fails(tmp_path) -> None:
    with pytest.raises(Unknown, match="nothing here computes the function 'unheard_of'"):
        problems(tmp_path / 'toy', changed(function='unheard_of'))


# --- cases whose function is still to be written ---------------------------------------------


def test_a_pending_case_must_have_an_unknown_function(tmp_path) -> None:
    write(tmp_path / 'toy', ENTRY, cases=[ENTRY, changed(name='other')])
    pending, other = collect(tmp_path, ['toy-case'])
    (mark,) = pending.marks
    assert mark.name == 'xfail' and mark.kwargs == dict(raises=Unknown, strict=True)
    assert not other.marks


def test_a_slow_case_is_marked(tmp_path) -> None:
    write(tmp_path / 'toy', ENTRY, cases=[ENTRY, changed(name='other')])
    slow, other = collect(tmp_path, slow=['toy-case'])
    assert [mark.name for mark in slow.marks] == ['slow'] and not other.marks


@pytest.mark.parametrize('listed', [dict(pending=['toy-gone']), dict(slow=['toy-gone'])])
def test_a_listed_name_without_a_case_fails(tmp_path, listed) -> None:
    write(tmp_path / 'toy', ENTRY)
    test = collect(tmp_path, **listed)[-1]
    assert test.id == 'unknown-toy-gone'
    (line,) = problems_of(test.values[0])
    assert line == 'pending.txt or slow.txt: there is no case or layout toy-gone'


# --- tolerances -------------------------------------------------------------------------------

RAMP = np.arange(6.0).reshape(2, 3)


def compared(result, folder: Path, **figure) -> bool:
    """Whether a result meets the expected value (RAMP) within the tolerance."""
    figure = dict(npz='a.npz', key='ramp') | figure
    if 'l2' not in figure:
        figure = dict(rtol=0, atol=0) | figure
    write(folder, ENTRY)
    case = Case(folder, 'case', 'f', '', {}, {}, {'x': figure})
    return not differences(case, {'x': result})


def test_tolerances_of_arrays(tmp_path) -> None:
    assert compared(RAMP, tmp_path)
    assert compared(RAMP[None], tmp_path)  # axes of length 1 do not matter
    assert not compared(RAMP.T, tmp_path)
    assert compared(RAMP + 0.5, tmp_path, atol=0.5)
    assert not compared(RAMP + 0.5, tmp_path, atol=0.4)
    assert compared(1.1 * RAMP, tmp_path, rtol=0.11)
    assert not compared(1.1 * RAMP, tmp_path, rtol=0.09)
    assert not compared(np.where(RAMP == 2, np.nan, RAMP), tmp_path, atol=9)
    assert compared(1.1 * RAMP, tmp_path, l2=0.11)
    assert not compared(1.1 * RAMP, tmp_path, l2=0.09)
    assert compared(RAMP.repeat(2, 1), tmp_path, shape=[2, 6], slice=':, ::2')
    assert not compared(RAMP.repeat(2, 1), tmp_path, shape=[2, 3], slice=':, :')


def test_outliers(tmp_path) -> None:
    one, row = RAMP.copy(), RAMP.copy()
    one[0, 1] += 5
    row[1] += 5
    assert not compared(one, tmp_path)
    assert compared(one, tmp_path, outliers=dict(share=0.01))  # rounded up to one of six
    assert not compared(row, tmp_path, outliers=dict(share=0.01))
    assert compared(row, tmp_path, outliers=dict(share=0.5))
    assert compared(row, tmp_path, outliers=dict(share=0.01, axis=1))  # a row counts as one
    assert not compared(row, tmp_path, outliers=dict(share=0.01, axis=0))
    assert compared(one, tmp_path, outliers=dict(share=0.01, atol=5))
    assert not compared(one, tmp_path, outliers=dict(share=0.01, atol=4))


def test_where_and_nan(tmp_path) -> None:
    one = RAMP.copy()
    one[0, 1] += 5
    assert compared(one, tmp_path, where=dict(key='ramp', greater=1))
    assert not compared(one, tmp_path, where=dict(key='ramp', greater=0))
    np.savez(tmp_path / 'b.npz', nan=np.array([np.nan, 1]))
    assert compared([np.nan, 1], tmp_path, npz='b.npz', key='nan')
    assert compared([0, 1], tmp_path, npz='b.npz', key='nan', nan_is=0)
    assert not compared([0, 1], tmp_path, npz='b.npz', key='nan')


def test_json_is_exact_but_for_fractions(tmp_path) -> None:
    def same(result, value) -> bool:
        figure = dict(json=value, rtol=0, atol=0.1)
        case = Case(tmp_path, 'case', 'f', '', {}, {}, {'log[0].a.b': figure})
        return not differences(case, {'log': [{'a.b': result}]})

    assert same(1.05, 1.0) and not same(1.2, 1.0)
    assert same({1: (2, 'x')}, {'1': [2, 'x']})
    assert not same(2.05, 2)
    assert not same([1, 2], [1]) and not same({'a': 1}, {'a': 1, 'b': 2})


# --- inputs -----------------------------------------------------------------------------------


def test_operations_are_applied_in_order(tmp_path) -> None:
    spec = dict(fill='image', name='x', shape=[2, 3], seed=4)
    steps = [dict(scale=-2), dict(offset=1), dict(abs=True), dict(clip=[0, 2]), dict(round=True)]
    expected = np.rint(np.clip(np.abs(1 - 2 * fill.image('x', (2, 3), 4)), 0, 2))
    np.testing.assert_array_equal(evaluate(spec | dict(then=steps), tmp_path), expected)
    both = evaluate(dict(sum=[spec, spec], then=[dict(repeat=[1, 2]), dict(slice='0:1')]), tmp_path)
    np.testing.assert_array_equal(both, 2 * fill.image('x', (2, 3), 4).repeat(2, 1)[:1])


@pytest.mark.parametrize(
    'spec',
    [
        dict(fill='guess'),
        dict(fill='image', name='x', shape=[1], seed=0, cell=3),
        dict(fill='image', name='x', shape=[1], seed=0, then=[dict(shuffle=True)]),
        dict(npz='a.npz', key='missing'),
        dict(npz='a.npz', key='ones', fill='image'),
    ],
)
def test_unknown_inputs_fail(spec: dict, tmp_path) -> None:
    write(tmp_path, ENTRY)
    with pytest.raises((KeyError, TypeError, ValueError)):
        evaluate(spec, tmp_path)


def test_slices() -> None:
    assert parse_slice('..., ::2, 0:4, 1') == (..., slice(None, None, 2), slice(0, 4), 1)


# --- parameters -------------------------------------------------------------------------------


def test_parameters_remember_who_read_them() -> None:
    params = Params(dict(a=1, b=None, c=dict(d=2, e=3)))
    assert params.unread() == ['a', 'c']
    assert params['a'] == 1 and params['c']['d'] == 2 and 'b' in params
    assert params.unread() == ['c.e']
    assert params.plain() == dict(a=1, b=None, c=dict(d=2, e=3)) and params.unread() == []


def test_values_that_ours_has_not_are_refused() -> None:
    params = Params(dict(kernel_size=3, dropout_ratio=0.0))
    refuse(params, 'dropout_ratio', 'missing')
    for check in (lambda: only(params, kernel_size=1), lambda: refuse(params, 'kernel_size')):
        with pytest.raises(Unsupported, match='kernel_size is 3'):
            check()
    with pytest.raises(ValueError, match="two functions compute 'class_weights'"):
        golden('class_weights')(lambda params, inputs: {})
