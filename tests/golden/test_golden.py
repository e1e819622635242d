"""Golden values: every case and layout of every folder of ``GOLDEN_DIR`` (default: ``data``).

``pytest tests/golden -k daformer`` runs one method; ``GOLDEN_DIR=folder`` runs other cases of the
same functions. An unknown case, layout or folder fails.

``pending.txt`` lists the cases and layouts of ``data``, one id per line, whose function or network
is still to be written. Each of them must fail for this reason, or it fails the suite. ``slow.txt``
lists those of ``data`` that run with the slow tests; another case of each of their functions is
not slow.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope

from tests.golden import functions  # noqa: F401 - fills FUNCTIONS
from tests.golden.cases import BadIndex, Case, Layout, read_folder
from tests.golden.compare import differences
from tests.golden.layouts import layout_differences
from tests.golden.registry import FUNCTIONS, Params, Unknown

HERE = Path(__file__).parent
OTHER_CASES = os.environ.get('GOLDEN_DIR')
PENDING, SLOW = (
    () if OTHER_CASES else (HERE / name).read_text().split() for name in ('pending.txt', 'slow.txt')
)


def collect(root: Path, pending: Collection[str] = (), slow: Collection[str] = ()) -> list:
    """One test per case and layout; a folder that cannot be read becomes a test that fails.

    Args:
        pending: ids of tests that must raise :class:`Unknown`.
        slow: ids of slow tests.
    """
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
            tests += [_test(f'{folder.name}-{item.name}', item, pending, slow) for item in items]
    for name in sorted({*pending, *slow} - {test.id for test in tests}):
        error = BadIndex(f'pending.txt or slow.txt: there is no case or layout {name}')
        tests.append(pytest.param(error, id=f'unknown-{name}'))
    return tests


def _test(name: str, item: Case | Layout, pending: Collection[str], slow: Collection[str]) -> Any:
    marks = [pytest.mark.xfail(raises=Unknown, strict=True)] if name in pending else []
    marks += [pytest.mark.slow] if name in slow else []
    return pytest.param(item, id=name, marks=marks)


@pytest.mark.parametrize('item', collect(Path(OTHER_CASES or HERE / 'data'), PENDING, SLOW))
def test_golden(item: Case | Layout | Exception) -> None:
    if problems := problems_of(item):
        pytest.fail('\n'.join(problems), pytrace=False)


def problems_of(item: Case | Layout | Exception) -> list[str]:
    """Problems with the results of a case or a layout, one per line.

    Raises:
        Unknown: nothing here computes the function of the case, or builds the network.
    """
    if isinstance(item, Exception):
        return [str(item)]
    with DefaultScope.overwrite_default_scope('mmseg'):
        if isinstance(item, Layout):
            return layout_differences(item)
        torch.manual_seed(0)
        return case_problems(item)


def case_problems(case: Case) -> list[str]:
    if case.function not in FUNCTIONS:
        raise Unknown(f'{case.name}: nothing here computes the function {case.function!r}')
    params, inputs = Params(case.params), Params(case.inputs())
    results = FUNCTIONS[case.function](params, inputs)
    unread = [f'parameter {name}' for name in params.unread()]
    unread += [f'input {name}' for name in inputs.unread()]
    return differences(case, results) + [f'{name} had no influence' for name in unread]
