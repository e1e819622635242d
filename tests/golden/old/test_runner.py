"""The runner of the golden cases itself: reading, comparing, and failing where it must."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from . import families, fill
from .cases import BadIndex, Case, Output, UnknownCase, read_cases
from .compare import close, mismatches, share_of_outliers, subsample
from .expressions import UnreadableInput, evaluate, evaluate_series, list_after, number_after
from .families.masked_steps import GivenDraws
from .networks import published_config, segmentor_config
from .test_golden import check, collect

IMAGE = fill.image('x', (2, 3, 4, 6), seed=5)
LABELS = fill.labels('y', (1, 8, 6), 4, seed=2, ignore=0.3, cell=2)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('fill.image("x", [2, 3, 4, 6], seed=5)', IMAGE),
        ("image('x', (2, 3, 4, 6), 5)", IMAGE),
        ('-2.5 * fill.image("x", [2, 3, 4, 6], seed=5) + 1', -2.5 * IMAGE + 1),
        ('fill.image("x", [2, 3, 4, 6], seed=5) * 0.0 (the norm epsilons matter)', 0 * IMAGE),
        ('fill.image("x", [2, 3, 4, 6], seed=5) ** 2 / 4', IMAGE**2 / 4),
        ('abs(fill.image("x", [2, 3, 4, 6], seed=5))', abs(IMAGE)),
        ('clip(np.abs(fill.image("x", [2, 3, 4, 6], seed=5)), 0, 1)', abs(IMAGE).clip(0, 1)),
        ('fill.image("x", [2, 3, 4, 6], seed=5)[:, :1, ..., ::2]', IMAGE[:, :1, ..., ::2]),
        ('fill.image("x", [2, 3, 4, 6], seed=5) > 0.5', IMAGE > 0.5),
        ('fill.image("x", [2, 3, 4, 6], seed=5); times 3', 3 * IMAGE),
        ('fill.labels("y", [1, 8, 6], 4, seed=2, ignore=0.3, cell=2)', LABELS),
        ('zeros [1, 2]', np.zeros((1, 2))),
        ('3 * ones([2])', np.full(2, 3.0)),
    ],
)
def test_expressions(text: str, expected: np.ndarray) -> None:
    assert_array_equal(evaluate(text), expected)


def test_expressions_take_variables() -> None:
    value = evaluate('fill.image("a_<i>", ..., seed=1)', {'i': 3, 'shape': [2, 2]})
    assert_array_equal(value, fill.image('a_3', (2, 2), 1))
    assert_array_equal(evaluate('all False', {'shape': [2, 3]}), np.zeros((2, 3), bool))
    series = evaluate_series('fill.image("f<i>", shape_i, seed=4) for i = 0..1, shapes [[1], [2]]')
    assert_array_equal(series[1], fill.image('f1', (2,), 4))


def test_instructions_after_an_expression() -> None:
    labels = 'fill.labels("y", [1, 8, 6], 4, seed=2, ignore=0.3, cell=2)'
    text = f'{labels}; in the left part (column < 3) every label that is not 255 is set to 1'
    changed = evaluate(text)
    assert_array_equal(changed[..., 3:], LABELS[..., 3:])
    assert_array_equal(changed[..., :3], np.where(LABELS[..., :3] == 255, 255, 1))

    mask = evaluate('ones; the first 2 rows and last 3 columns are 0', {'shape': [1, 4, 5]})
    expected = np.zeros((1, 4, 5))
    expected[:, 2:, :2] = 1
    assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    'text',
    [
        'the logits of the teacher',
        'fill.image("x", [2], seed=0), softmax over nothing',
        'fill.image("x", [2], seed=0); shuffled',
        'fill.image("x_<i>", shape_i, seed=0)',
        '__import__("os").system("true")',
        '().__class__.__bases__[0]',
        'fill.image.__globals__',
        'open("/dev/null")',
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UnreadableInput):
        evaluate(text)


def test_numbers_and_lists_in_words() -> None:
    assert number_after('seed', 'fill_state_dict of the head alone (no prefix), seed=12') == 12
    assert list_after('shapes', 'for i = 0..3, shapes [[1, 2], [3, 4]] or so') == [[1, 2], [3, 4]]
    with pytest.raises(UnreadableInput, match='no seed'):
        number_after('seed', 'random weights')


@pytest.mark.parametrize(
    ('note', 'key'),
    [
        ('', ...),
        ('[..., ::2, ::2]', np.s_[..., ::2, ::2]),
        ('[:, ::2, 1:5]', np.s_[:, ::2, 1:5]),
        ('channels [::4] of shape [2, 8, 6, 6]', np.s_[:, ::4]),
        ('every fourth channel: [:, ::4]', np.s_[:, ::4]),
        ('rows [::3]', np.s_[..., ::3, :]),
        (
            'difference of two probabilities, [:, ::2]; compare it where it exceeds 1e-4',
            np.s_[:, ::2],
        ),
    ],
)
def test_subsamples(note: str, key: tuple) -> None:
    array = np.arange(2 * 8 * 6 * 6).reshape(2, 8, 6, 6)
    assert_array_equal(subsample(array, note), array[key])


def test_a_subsample_of_another_shape_is_a_mismatch() -> None:
    case = make_case(expected=np.zeros((1, 2)), note='channels [::2] of shape [1, 4]')
    assert mismatches(case, {'out': np.zeros((1, 4))}) == []
    assert 'the note says' in mismatches(case, {'out': np.zeros((1, 3))})[0]
    assert 'the figure has' in mismatches(make_case(np.zeros(2)), {'out': np.zeros(3)})[0]


def test_tolerance() -> None:
    expected = np.array([1.0, 0.0, np.nan, np.inf])
    assert close(np.array([1.09, 0.01, np.nan, np.inf]), expected, 0.1, 0.01).all()
    assert not close(np.array([1.12, 0.02, 0, 5]), expected, 0.1, 0.01).any()
    assert not close(np.array([101]), np.array([100]), 0.1, 0.01).any(), 'integers are exact'


def test_outliers_where_the_notes_allow_them() -> None:
    expected = np.zeros((1, 3, 10, 20))
    results = {'out': expected.copy()}
    results['out'][0, :, 0, :2] = 1
    assert share_of_outliers('compare allowing 0.5 percent of the pixels to differ') == 0.005
    assert mismatches(make_case(expected, notes='allowing 1 percent of the pixels'), results) == []
    assert mismatches(make_case(expected, notes='allowing 0.5 % of the pixels'), results)
    assert mismatches(make_case(expected), results)


def test_predictions_count_where_the_margin_is_clear() -> None:
    case = make_case(np.array([1, 2, 3]))
    note = 'compare out only where it exceeds 0.1'
    case.outputs['out_margin'] = Output('out_margin', np.array([0.5, 0.05, 0.5]), note)
    margin = np.array([0.5, 0.05, 0.5])
    assert mismatches(case, {'out': [1, 9, 3], 'out_margin': margin}) == []
    assert len(mismatches(case, {'out': [9, 2, 3], 'out_margin': margin})) == 1


def test_a_stricter_first_row() -> None:
    notes = 'The first row of out should agree to rtol 1e-4'
    case = make_case(np.ones((2, 1)), notes=notes, rtol=0.01, atol=0.0)
    assert mismatches(case, {'out': [[1.0], [1.005]]}) == []
    assert 'out[0]' in mismatches(case, {'out': [[1.005], [1.0]]})[0]


def test_nan_is_a_figure_unless_the_case_wants_0() -> None:
    expected = np.array(np.nan)
    assert mismatches(make_case(expected), {'out': np.nan}) == []
    assert mismatches(make_case(expected), {'out': 0.0})
    assert mismatches(make_case(expected, notes='Log 0 instead of NaN.'), {'out': 0.0}) == []


def test_missing_results_and_stated_parameters() -> None:
    case = make_case(np.zeros(2), params={'table': {'1': [1, 2]}})
    assert mismatches(case, {}) == ['out: no result']
    assert mismatches(case, {'out': [0, 0], 'params.table': {1: (1, 2)}}) == []
    assert 'params.table' in mismatches(case, {'out': [0, 0], 'params.table': {1: (1, 3)}})[0]


@pytest.mark.parametrize('layout', ['list', 'mapping', 'groups', 'arrays'])
def test_indexes_of_several_hands(tmp_path: Path, layout: str) -> None:
    values = np.arange(3.0)
    if layout == 'list':
        entry = {'name': 'a', 'file': 'f.npz', 'outputs': {'out': {'array': 'a/out'}}}
        index, key = {'cases': [entry]}, 'a/out'
    elif layout == 'mapping':
        entry = {'file': 'f.npz', 'arrays': {'in_x': '', 'out': ''}}
        index, key = {'cases': {'a': entry}}, 'out'
    elif layout == 'groups':
        entry = {'name': 'a', 'outputs': {'a.out': [3]}}
        index, key = {'groups': [{'file': 'f.npz', 'cases': [entry]}]}, 'a.out'
    else:
        entry = {'id': 'a', 'file': 'f.npz', 'arrays': [['a/out', [3]]]}
        index, key = {'cases': [entry]}, 'a/out'
    entry['tolerance'] = {'rtol': 0.5, 'atol': 0.25}
    write_folder(tmp_path / 'some', {'method': 'some (method)', **index}, {key: values})
    (case,) = read_cases(tmp_path / 'some')
    assert case.method == 'some' and case.name.endswith('a')
    assert list(case.outputs) == ['out'] and case.tolerance == (0.5, 0.25)
    assert_array_equal(case.outputs['out'].expected, values)


def test_inputs(tmp_path: Path) -> None:
    entry = {
        'name': 'a',
        'file': 'f.npz',
        'inputs': {
            'source image of iteration i': 'fill.image("s<i>", [2], seed=1)',
            'logits': {'fill': 'image', 'name': 'l', 'shape': [2], 'seed': 3, 'times': 2.0},
            'weight': None,
            'weights': 'fill_state_dict of everything, seed=7',
        },
        'stored_inputs': {'gt': {'array': 'a/in/gt'}},
    }
    write_folder(tmp_path / 'some', {'cases': [entry]}, {'a/in/gt': np.arange(4)})
    (case,) = read_cases(tmp_path / 'some')
    assert_array_equal(case.input('source image', i=2), fill.image('s2', (2,), 1))
    assert_array_equal(case.input('logits'), 2 * fill.image('l', (2,), 3))
    assert_array_equal(case.input('gt'), np.arange(4))
    assert not case.has_input('valid') and not case.has_input('weight ')
    with pytest.raises(UnreadableInput, match='no input target'):
        case.input('target')


def test_a_folder_without_index_fails(tmp_path: Path) -> None:
    assert isinstance(collect(tmp_path)[0].values[0], BadIndex)
    (tmp_path / 'daformer').mkdir()
    (tmp_path / 'daformer' / 'broken.json').write_text('{')
    (test,) = collect(tmp_path)
    assert isinstance(test.values[0], Exception) and test.id == 'daformer-index'


@pytest.mark.parametrize(
    ('method', 'name'), [('daformer', 'no_such_a'), ('unheard_of', 'mit_b0_a')]
)
def test_an_unknown_case_fails(method: str, name: str) -> None:
    case = make_case(np.zeros(1), method=method, name=name)
    with pytest.raises(UnknownCase):
        families.find(case)
    with pytest.raises(pytest.fail.Exception, match='no family'):
        check(case)


def test_the_longest_beginning_wins() -> None:
    found = {
        families.find(make_case(None, name=name)).__name__ for name in ('rcs_b', 'rcs_files_b')
    }
    assert found == {'class_sampling', 'file_sampling'}


def test_other_networks_by_name() -> None:
    config = segmentor_config('dlv2_r50v1c', num_classes=3)
    assert config['backbone']['depth'] == 50 and len(config['decode_head']['dilations']) == 4
    assert segmentor_config('daformer_isa_mitb2_c')['decode_head']['fusion'] == 'isa'
    assert published_config('mit_b3')['arch'] == 'b3'
    with pytest.raises(UnknownCase):
        published_config('hrda_swin')


def make_loss_case(folder: Path, loss: float) -> Case:
    """A case of another name, shape and seed than the copies have, with a figure of our making."""
    entry = {
        'name': 'segmentation_loss_other',
        'file': 'f.npz',
        'inputs': {
            'logits': '0.0 * fill.image("logits", [1, 5, 4, 4], seed=9)',
            'labels': 'fill.labels("labels", [1, 1, 9, 7], 5, seed=9, ignore=0)',
        },
        'outputs': {'loss': {'array': 'loss'}},
        'rtol': 1e-6,
        'atol': 0,
    }
    write_folder(folder / 'daformer', {'cases': [entry]}, {'loss': np.float32(loss)})
    (test,) = collect(folder)
    assert test.id == 'daformer-segmentation_loss_other'
    return test.values[0]


def test_other_folders_run_and_wrong_figures_fail(tmp_path: Path) -> None:
    check(make_loss_case(tmp_path / 'right', np.log(5)))
    with pytest.raises(pytest.fail.Exception, match='1 of 1 values differ'):
        check(make_loss_case(tmp_path / 'wrong', np.log(5) + 1e-4))


@pytest.mark.parametrize(
    ('listed', 'pairs'),
    [
        ([0.1, 0.2, 0.3, 0.4], [(0.1, 0.2), (0.3, 0.4), (0.0, 0.0)]),
        ([0.1, 0.3, 0.4], [(0.1, 0.0), (0.3, 0.4), (0.0, 0.0)]),  # the host does not blur
        ([], [(0.0, 0.0)]),
    ],
)
def test_triggers_of_host_and_masked_pass(listed, pairs):
    draws = GivenDraws({'uniform': listed}, batch_size=2)
    assert [draws.triggers() for _ in pairs] == pairs


def make_case(
    expected: np.ndarray | None,
    note: str = '',
    method: str = 'daformer',
    name: str = 'some',
    rtol: float = 0.0,
    atol: float = 1e-6,
    notes: str = '',
    params: dict | None = None,
) -> Case:
    """A case with one output ``out``."""
    entry = {'rtol': rtol, 'atol': atol, 'notes': notes, 'params': params or {}}
    case = Case(method, name, Path('nowhere'), entry, {})
    output = Output('out', expected, note)
    case.__dict__['outputs'] = {'out': output}  # what the property would read from files
    return case


def write_folder(folder: Path, index: dict, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    (folder / 'index.json').write_text(json.dumps(index))
    np.savez(folder / 'f.npz', **arrays)
