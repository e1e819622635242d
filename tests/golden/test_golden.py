"""Golden values: every case and layout of every folder of ``GOLDEN_DIR`` (default: ``data``).

``pytest tests/golden -k daformer`` runs one method; ``GOLDEN_DIR=folder`` runs other cases of the
same functions. An unknown case, layout or folder fails.
"""

import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from tests.golden import functions  # noqa: F401 - fills FUNCTIONS
from tests.golden.cases import BadIndex, Case, Layout, read_folder
from tests.golden.compare import differences
from tests.golden.layouts import layout_differences
from tests.golden.registry import FUNCTIONS, Params

GOLDEN_DIR = Path(os.environ.get('GOLDEN_DIR') or Path(__file__).parent / 'data')


def collect(root: Path) -> list:
    """One test per case and layout; a folder that cannot be read becomes a test that fails."""
    folders = sorted(path for path in root.glob('*') if path.is_dir())
    if not folders:
        return [pytest.param(BadIndex(f'{root}: no sub-folder with cases'), id='no-cases')]
    tests = []
    for folder in folders:
        try:
            items = read_folder(folder)
        except (BadIndex, OSError) as error:
            tests.append(pytest.param(error, id=f'{folder.name}-index'))
        else:
            tests += [pytest.param(item, id=f'{folder.name}-{item.name}') for item in items]
    return tests


@pytest.mark.parametrize('item', collect(GOLDEN_DIR))
def test_golden(item: Case | Layout | Exception) -> None:
    if problems := problems_of(item):
        pytest.fail('\n'.join(problems), pytrace=False)


def problems_of(item: Case | Layout | Exception) -> list[str]:
    """Problems with the results of a case or a layout, one per line."""
    if isinstance(item, Exception):
        return [str(item)]
    with DefaultScope.overwrite_default_scope('mmseg'):
        if isinstance(item, Layout):
            return layout_differences(item)
        torch.manual_seed(0)
        return case_problems(item)


def case_problems(case: Case) -> list[str]:
    if case.function not in FUNCTIONS:
        return [f'{case.name}: nothing here computes the function {case.function!r}']
    params, inputs = Params(case.params), Params(case.inputs())
    results = FUNCTIONS[case.function](params, inputs)
    unread = [f'parameter {name}' for name in params.unread()]
    unread += [f'input {name}' for name in inputs.unread()]
    return differences(case, results) + [f'{name} had no influence' for name in unread]
