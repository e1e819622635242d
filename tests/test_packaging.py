"""What a user meets first: installing, and asking each command what it does."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mmseg_uda
from mmseg_uda.command_line import CommandParser

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ('mmseg_uda', 'benchmarks', 'experiments', 'tools', 'configs', 'tests')
    for path in (ROOT / folder).rglob('*.py')
) + sorted(ROOT.glob('*.py'))
COMMANDS = ['run_experiments.py', 'run_seg.py', 'benchmarks/gpu.py'] + sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / 'tools').rglob('*.py')
    if "__name__ == '__main__'" in path.read_text() and not path.name.startswith('_')
)
REQUIREMENTS = [
    line
    for line in (ROOT / 'requirements.txt').read_text().splitlines()
    if line and not line.startswith('#')
]

# Runs a command as a script and prints what it imported of the modules that --help must not need.
HELP = """
import os, runpy, sys
sys.argv = [sys.argv[1], '--help']
sys.path[0] = os.path.dirname(sys.argv[0])
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as end:
    print('imported:', [name for name in ('torch', 'mmseg', 'mmcv', 'cv2') if name in sys.modules])
    sys.exit(end.code)
"""


@pytest.mark.parametrize('command', COMMANDS)
def test_help_answers_without_heavy_imports(command, tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', HELP, str(ROOT / command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'usage:' in done.stdout and 'imported: []' in done.stdout


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.startswith('tools/')])
def test_tools_are_modules_too(command):
    module = command.removesuffix('.py').replace('/', '.')
    done = subprocess.run(
        [sys.executable, '-m', module, '--help'], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def imports(path: Path) -> set[str]:
    """The absolute names that a file imports, anywhere in it."""
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


@pytest.mark.parametrize(
    'room, forbidden',
    [
        ('models', {'uda', 'datasets', 'engine', 'evaluation', 'toy'}),
        ('datasets', {'uda', 'models', 'engine', 'evaluation', 'toy'}),
        ('toy', {'uda', 'models', 'engine', 'evaluation', 'datasets'}),
        ('uda', {'engine', 'evaluation', 'toy'}),
    ],
)
def test_rooms_import_only_what_stands_below_them(room, forbidden):
    for path in (ROOT / 'mmseg_uda' / room).rglob('*.py'):
        rooms = {name.split('.')[1] for name in imports(path) if name.startswith('mmseg_uda.')}
        assert not rooms & forbidden, path


def test_every_command_has_options_written_out():
    users = {path for path in SOURCES if 'argparse.ArgumentParser(' in path.read_text()}
    assert users <= {ROOT / 'mmseg_uda/command_line.py', Path(__file__)}


def test_options_are_not_abbreviated(capsys):
    parser = CommandParser()
    parser.add_argument('--out-dir')
    commands = parser.add_subparsers()
    commands.add_parser('step').add_argument('--repeats')
    assert parser.parse_args(['--out-dir', 'x', 'step', '--repeats', '3']).repeats == '3'
    for arguments in (['--out=x', 'step'], ['step', '--rep', '3']):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert 'unrecognized arguments' in capsys.readouterr().err


def test_every_requirement_is_pinned_and_installed():
    from importlib.metadata import version

    for line in REQUIREMENTS:
        name, _, pinned = line.partition('==')
        assert pinned, f'{line} is not pinned'
        assert version(name).split('+')[0] == pinned


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
    own = {'mmseg_uda', 'tools', 'tests', 'setuptools'}
    own |= {'benchmarks', 'experiments', 'run_experiments', 'run_seg'}
    for path in SOURCES:
        roots = {name.split('.')[0] for name in imports(path)} - sys.stdlib_module_names - own
        missing = {name for name in roots if of_module.get(name, name) not in required}
        assert not missing, f'{path} imports {missing}'


def test_version_is_said_once():
    citation = (ROOT / 'CITATION.cff').read_text()
    assert f'version: {mmseg_uda.__version__}\n' in citation
    assert 'version' in tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['dynamic']
