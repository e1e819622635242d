"""Golden figures: every case of every folder under ``GOLDEN_DIR`` (default: the copies here).

``pytest tests/golden -k daformer`` runs one method; ``GOLDEN_DIR=folder`` runs other cases of the
same functions. A case, or a folder, that nothing here knows fails.
"""

import json
import os
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


def collect(root: Path) -> list:
    """One test per case; a folder that cannot be read becomes a test that fails."""
    folders = sorted(path for path in root.glob('*') if path.is_dir())
    if not folders:
        return [pytest.param(BadIndex(f'{root}: no sub-folder with cases'), id='no-cases')]
    tests = []
    for folder in folders:
        try:
            tests += [pytest.param(case, id=case.id) for case in read_cases(folder)]
        except (BadIndex, ValueError, KeyError, OSError) as error:
            tests.append(pytest.param(error, id=f'{folder.name}-index'))
    return tests


def collect_layouts(root: Path) -> list:
    """One test per published layout ``daformer/<network>.keys.json`` of a network that we have."""
    tests = []
    for path in sorted(root.glob('daformer/*.keys.json')):
        name = path.name.removesuffix('.keys.json')
        try:
            config = published_config(name)
        except UnknownCase:
            continue  # not a case: the cases of that network fail themselves
        tests.append(pytest.param(config, path, id=f'{path.parent.name}-{name}.keys'))
    return tests


@pytest.mark.parametrize('case', collect(GOLDEN_DIR))
def test_golden(case: Case | Exception) -> None:
    if isinstance(case, Exception):
        pytest.fail(str(case))
    check(case)


@pytest.mark.parametrize(('config', 'path'), collect_layouts(GOLDEN_DIR))
def test_layout(config: dict, path: Path) -> None:
    """Entries of the state dict in order, number of parameters, LayerNorm epsilons."""
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        network = MODELS.build(config)
    published = json.loads(path.read_text())
    assert layout(network) == published['state_dict']
    if 'parameters' in published:
        assert (
            sum(parameter.numel() for parameter in network.parameters()) == published['parameters']
        )
    for name, eps in published.get('layernorm_eps', {}).items():
        assert network.get_submodule(name).eps == eps, name


def check(case: Case) -> None:
    """Compute the case and fail with every figure that differs."""
    torch.manual_seed(0)
    try:
        with DefaultScope.overwrite_default_scope('mmseg'):
            problems = mismatches(case, families.find(case)(case))
    except (BadIndex, UnknownCase, UnreadableInput) as error:
        problems = [str(error)]
    if problems:
        pytest.fail(f'{case.name}:\n  ' + '\n  '.join(problems), pytrace=False)
