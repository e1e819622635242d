"""Write the tables of experiments into README.md and docs/ (``make docs-tables``).

A page marks the place of a table and lists its experiments by id::

    <!-- experiments: 1-8, 70-79 -->
    <!-- end of experiments -->

The text between the two lines is generated from ``experiments.py``, so each published figure is
written once. ``--check`` changes nothing and fails if a page is not up to date.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from mmseg_uda.errors import run_cli
from mmseg_uda.experiments.experiment import Experiment
from mmseg_uda.experiments.table import load_table

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'(<!-- experiments: ([\d, -]+) -->\n).*?(<!-- end of experiments -->)', re.S)
CLASSES = {'mIoU': '', 'mIoU16': ' (16 classes)', 'mIoU13': ' (13 classes)'}
HEAD = ('exp', 'method', 'network', 'source → target', 'published mIoU', 'config')


def pages() -> list[Path]:
    """Pages that may contain tables."""
    return [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def updated(text: str) -> str:
    """Regenerate the tables in the text of a page."""
    return BLOCK.sub(lambda match: match[1] + table(select(match[2])) + match[3], text)


def select(ids: str) -> list[Experiment]:
    """Experiments of an id list such as ``1-8, 70``, in this order; missing ids are skipped."""
    chosen = []
    for part in ids.split(','):
        first, _, last = part.strip().partition('-')
        numbers = range(int(first), int(last or first) + 1)
        chosen += [e for e in sorted(load_table().values(), key=_id) if e.id in numbers]
    return chosen


def table(experiments: Iterable[Experiment]) -> str:
    """Markdown table of experiments."""
    rows = [HEAD, ['---'] * len(HEAD), *map(_row, experiments)]
    return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def _row(experiment: Experiment) -> list[str]:
    config = experiment.config
    figures = [
        f'{value:.1f}{CLASSES[name]}{after}'
        for stage in reversed(experiment.stages)
        for after in [f' ({stage.name})' if stage is not experiment.stages[-1] else '']
        for name, value in stage.published.items()
    ]
    note = f' ({experiment.note})' if experiment.note else ''
    return [
        str(experiment.id),
        experiment.method + note,
        experiment.network,
        experiment.domains,
        ', '.join(figures) or '-',
        f'`{config.removeprefix("configs/")}`',
    ]


def _id(experiment: Experiment) -> int:
    return experiment.id


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='change nothing')
    check = parser.parse_args(argv).check
    stale = 0
    for page in pages():
        text = page.read_text()
        if (new := updated(text)) != text:
            stale += 1
            print(f'{page.relative_to(ROOT)}: {"is not up to date" if check else "written"}')
            if not check:
                page.write_text(new)
    return int(check and stale > 0)


if __name__ == '__main__':
    run_cli(main)
