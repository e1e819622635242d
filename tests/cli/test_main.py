"""The command: verbs, their help, and the wrapper scripts in the repository."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_uda.cli.main import main, verbs
from mmseg_uda.errors import UserError

ROOT = Path(__file__).parents[2]
HEAVY = {'torch', 'mmengine', 'mmseg', 'mmcv', 'cv2', 'numpy'}
SCRIPTS = ['run_experiments.py', 'run_seg.py']
SCRIPTS += sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'tools').rglob('[a-z]*.py'))

# Runs a verb's --help in its own process and prints the imported modules.
HELP = """
import sys
from mmseg_uda.cli.main import main
try:
    main([sys.argv[1], '--help'])
except SystemExit as end:
    print('imported:', *sys.modules)
    sys.exit(end.code)
"""


def python(*arguments, cwd=ROOT) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('verb', verbs())
def test_help_of_a_verb_imports_nothing_heavy(verb):
    shown, _, imported = python('-c', HELP, verb).partition('imported:')
    assert shown.startswith(f'usage: mmseg-uda {verb} ')
    assert not HEAVY & set(imported.split())


def test_help_lists_every_verb_with_a_line():
    shown = python('-m', 'mmseg_uda.cli', '--help')
    for verb in verbs():
        (line,) = [line for line in shown.splitlines() if line.startswith(f'  {verb} ')]
        assert len(line.split()) > 3


def test_unknown_verb_names_close_ones():
    with pytest.raises(UserError, match='no command trian; close: train'):
        main(['trian'])


def test_verb_gets_its_own_arguments(capsys):
    assert main(['list']) is None
    assert 'hrda_mitb5_gta2cs' in capsys.readouterr().out


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_stay_at_their_paths(script):
    assert 'usage:' in python(ROOT / script, '--help')
    if script.startswith('tools/'):
        assert 'usage:' in python('-m', script.removesuffix('.py').replace('/', '.'), '--help')


def test_libraries_say_nothing_of_what_is_not_needed():
    for module in ('apis', 'preparation.depth_bank', 'experiments.comparison'):
        done = subprocess.run(
            [sys.executable, '-c', f'import mmseg_uda.{module}'],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not done.stdout + done.stderr
