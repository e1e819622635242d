"""The command ``mmseg-uda VERB ...``: imports the module of the verb and runs its ``main``."""

import argparse
import ast
import difflib
import importlib
import pkgutil
import sys
from importlib.util import find_spec
from pathlib import Path

from mmseg_uda import __version__
from mmseg_uda.errors import UserError, run_cli

PACKAGE = 'mmseg_uda.cli'


def verbs() -> dict[str, str]:
    """Return verb -> module for each module of this package; verbs have - for _."""
    folder = str(Path(__file__).parent)
    names = (module.name for module in pkgutil.iter_modules([folder]))
    return {n.replace('_', '-'): f'{PACKAGE}.{n}' for n in names if n not in ('main', '__main__')}


def main(argv: list[str] | None = None) -> int | None:
    """Run a verb with its own arguments."""
    argv = sys.argv[1:] if argv is None else argv
    known = verbs()
    if argv and not argv[0].startswith('-'):
        verb, *rest = argv
        if verb not in known:
            close = difflib.get_close_matches(verb, known)
            hint = f'; close: {", ".join(close)}' if close else ''
            raise UserError(
                f'there is no command {verb}{hint}; mmseg-uda --help lists all commands'
            )
        sys.argv[0] = f'mmseg-uda {verb}'  # shown in the verb's usage line
        return importlib.import_module(known[verb]).main(rest)
    lines = [f'  {verb:20} {_summary(module)}' for verb, module in known.items()]
    parser = argparse.ArgumentParser(
        prog='mmseg-uda',
        description='Unsupervised domain adaptation for semantic segmentation.',
        epilog='\n'.join(['commands (for their options: mmseg-uda COMMAND --help):', *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'mmseg-uda {__version__}')
    parser.add_argument('command', help='one of the commands below')
    parser.parse_args(argv or ['--help'])
    return None


def run() -> None:
    """Entry point of the console command."""
    run_cli(main)


def _summary(module: str) -> str:
    """Return the first line of a module's docstring without importing the module."""
    source = Path(find_spec(module).origin).read_text()
    return ast.get_docstring(ast.parse(source)).split('\n')[0]
