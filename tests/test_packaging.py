"""Requirements of an installation, and what imports what."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import mmseg_uda

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ('mmseg_uda', 'benchmarks', 'docs', 'tools', 'configs', 'tests')
    for path in (ROOT / folder).rglob('*.py')
) + sorted(ROOT.glob('*.py'))


def _lines(name: str) -> list[str]:
    """Lines of a requirements file, without comments."""
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


REQUIREMENTS = _lines('requirements.txt')


def imports(path: Path) -> set[str]:
    """Absolute names that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return names


def test_no_file_imports_what_must_not_be_needed():
    banned = {'torchvision', 'timm', 'kornia'}
    users = {
        str(path.relative_to(ROOT)): found
        for path in SOURCES
        if (found := {name.split('.')[0] for name in imports(path)} & banned)
    }
    assert not users


def test_every_dependency_has_a_tested_version_within_its_range():
    from importlib.metadata import version

    from packaging.requirements import Requirement

    pinned = dict(line.split('==') for line in _lines('constraints.txt'))
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = [line for lines in project['optional-dependencies'].values() for line in lines]
    for line in [*REQUIREMENTS, *extras]:
        requirement = Requirement(line)
        if requirement.name == 'mmseg-uda':
            continue
        assert requirement.specifier.contains(pinned[requirement.name]), line
        assert version(requirement.name).split('+')[0] == pinned[requirement.name]


def test_no_path_of_python_is_changed_outside_tests():
    for path in SOURCES:
        if 'tests' not in path.relative_to(ROOT).parts:
            assert 'sys.path' not in path.read_text(), path


def test_every_direct_import_is_required():
    of_module = {
        'PIL': 'pillow',
        'cv2': 'opencv-python',
        'mmcv': 'onedl-mmcv',
        'mmengine': 'onedl-mmengine',
        'mmseg': 'onedl-mmsegmentation',
        'sklearn': 'scikit-learn',
        'yaml': 'pyyaml',
    }
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = project['optional-dependencies'].values()
    required = {re.split('[=<>[]', line)[0] for lines in (REQUIREMENTS, *extras) for line in lines}
    own = {'mmseg_uda', 'tools', 'tests', 'setuptools', 'packaging'}
    own |= {'benchmarks', 'docs', 'experiments', 'run_experiments', 'run_seg'}
    for path in SOURCES:
        roots = {name.split('.')[0] for name in imports(path)} - sys.stdlib_module_names - own
        missing = {name for name in roots if of_module.get(name, name) not in required}
        assert not missing, f'{path} imports {missing}'


def test_version_is_said_once():
    citation = (ROOT / 'CITATION.cff').read_text()
    assert f'version: {mmseg_uda.__version__}\n' in citation
    assert 'version' in tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['dynamic']
