"""Golden figures: every case of every folder under ``GOLDEN_DIR`` (default: the copies here).

``pytest tests/golden -k daformer`` runs one method; ``GOLDEN_DIR=folder`` runs other cases of the
same functions. A case, or a folder, that nothing here knows fails.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from . import families
from .cases import BadIndex, Case, UnknownCase, read_cases
from .compare import mismatches
from .expressions import UnreadableInput
from .networks import layout, published_config

GOLDEN_DIR = Path(os.environ.get('GOLDEN_DIR') or Path(__file__).parent / 'data')


@dataclass(frozen=True)
class Layout:
    """A published state dict, ``<network>.keys.json``, and our config of that network."""

    path: Path
    config: dict


def collect(root: Path) -> list:
    """One test per case and layout; a folder that cannot be read becomes a test that fails."""
    folders = sorted(path for path in root.glob('*') if path.is_dir())
    if not folders:
        return [pytest.param(BadIndex(f'{root}: no sub-folder with cases'), id='no-cases')]
    tests = []
    for folder in folders:
        try:
            cases = read_cases(folder)
        except (BadIndex, ValueError, KeyError, OSError) as error:
            tests.append(pytest.param(error, id=f'{folder.name}-index'))
            continue
        tests += [pytest.param(case, id=case.id) for case in cases]
        if cases[0].method == 'daformer':
            tests += _layouts(folder)
    return tests


def _layouts(folder: Path) -> list:
    """The layouts of networks that we have; the others are no cases, and theirs fail themselves."""
    tests = []
    for path in sorted(folder.glob('*.keys.json')):
        name = path.name.removesuffix('.keys.json')
        with suppress(UnknownCase):
            published = Layout(path, published_config(name))
            tests.append(pytest.param(published, id=f'{folder.name}-{name}.keys'))
    return tests


@pytest.mark.parametrize('case', collect(GOLDEN_DIR))
def test_golden(case: Case | Layout | Exception) -> None:
    if isinstance(case, Exception):
        pytest.fail(str(case), pytrace=False)
    with DefaultScope.overwrite_default_scope('mmseg'):
        check_layout(case) if isinstance(case, Layout) else check(case)


def check(case: Case) -> None:
    """Compute the case and fail with every figure that differs."""
    torch.manual_seed(0)
    try:
        problems = mismatches(case, families.find(case)(case))
    except (BadIndex, UnknownCase, UnreadableInput) as error:
        problems = [str(error)]
    if problems:
        pytest.fail(f'{case.name}:\n  ' + '\n  '.join(problems), pytrace=False)


def check_layout(published: Layout) -> None:
    """Entries of the state dict in order, number of parameters, LayerNorms' epsilons."""
    with torch.device('meta'):
        network = MODELS.build(published.config)
    content = json.loads(published.path.read_text())
    assert layout(network) == content['state_dict']
    if 'parameters' in content:
        assert sum(p.numel() for p in network.parameters()) == content['parameters']
    for name, eps in content.get('layernorm_eps', {}).items():
        assert network.get_submodule(name).eps == eps, name
