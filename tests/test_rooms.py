"""Layers of the package: imports only go downwards, including names given as strings."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from mmseg_uda.experiments.table import load_table

PACKAGE = Path(__file__).parents[1] / 'mmseg_uda'
# Each room (sub-package) may import those to its right. `toy` imports none.
FLOORS = (
    *('cli', 'apis', 'experiments', 'preparation', 'engine', 'evaluation', 'compat', 'uda'),
    *('models', 'datasets'),
)
BASE = (
    *('command_line', 'config', 'data_config', 'settings', 'tensor_files', 'random', 'files'),
    'errors',
)
FILES = sorted(PACKAGE.rglob('*.py'))
EARLIER = PACKAGE / 'experiments/earlier.py'  # names modules that earlier versions called
WORKER = 'mmseg_uda.cli.train'  # torchrun starts it in its own processes


def room(module: str) -> str:
    """``engine`` of ``mmseg_uda.engine.train``; '' of the package itself."""
    name = [*module.split('.'), ''][1]
    return 'engine' if name == 'register' else name  # it imports the rooms up to the engine


def home(path: Path) -> str:
    """The room of a file of the package."""
    first = path.relative_to(PACKAGE).with_suffix('').parts[0]
    return '' if first == '__init__' else room(f'mmseg_uda.{first}')


def below(name: str) -> set[str]:
    if name in BASE:
        return set(BASE[BASE.index(name) + 1 :])
    if name == 'toy':
        return set(BASE)
    lower = {*FLOORS[FLOORS.index(name) + 1 :], *BASE, '', '__version__'}
    return lower | ({'toy'} if name in FLOORS[:3] else set())


def named(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere or names in a string."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level or path.parent.name == 'toy', f'{path} imports relatively'
            module = node.module or ''
            bare = module == 'mmseg_uda'  # `from mmseg_uda import engine` names a room
            found |= {f'{module}.{alias.name}' if bare else module for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := re.fullmatch(r'(mmseg_uda(?:\.\w+)+)(?::\w+)?', node.value):
                found.add(match[1])
    return {module for module in found if module.split('.')[0] == 'mmseg_uda'}


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_names_only_its_room_and_rooms_below(path):
    own = home(path)
    if own and path != EARLIER:
        assert {room(module) for module in named(path) - {WORKER}} <= below(own) | {own}


def test_every_room_has_its_floor():
    assert {home(path) for path in FILES} == {*FLOORS, *BASE, 'toy', ''}


def test_nothing_outside_the_package_is_named():
    """No script of the repository is run or imported: an installed package has none."""
    for path in set(FILES) - {EARLIER}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or '']
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            outside = {'tools', 'experiments', 'run_experiments', 'run_seg', 'benchmarks', 'tests'}
            assert not {name.split('.')[0] for name in names} & outside, path
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.match(r'tools\.\w+', node.value), path


CALLS = sorted({stage.call for e in load_table().values() for stage in e.stages if stage.call})


@pytest.mark.parametrize('call', CALLS)
def test_recipes_name_functions_that_exist_below_the_experiments(call):
    module, _, function = call.partition(':')
    assert room(module) in below('experiments') | {'experiments', 'toy'}
    path = importlib.util.find_spec(module).origin
    tree = ast.parse(Path(path).read_text())
    names = {getattr(node, 'name', None) for node in tree.body}
    names |= {alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    assert function in names
