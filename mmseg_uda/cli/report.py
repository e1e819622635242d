"""Compare test results of several runs: a table of scores and an image of predictions.

A run is NAME=FOLDER/scores.json, written by mmseg-uda test --eval mIoU, with its predictions in
FOLDER/predictions (mmseg-uda test --show-dir FOLDER/predictions --opacity 1). Writes report.md,
report.json and comparison.png.
"""

import argparse
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import run_cli


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config with the test set of the runs')
    parser.add_argument('runs', nargs='+', metavar='NAME=SCORES', help='runs to compare, in order')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the written files')
    parser.add_argument(
        '--images', type=int, default=4, metavar='N', help='number of images shown (default: 4)'
    )
    arguments = parser.parse_args(argv)
    if arguments.images < 1:
        parser.error(f'--images {arguments.images}: give at least 1')
    runs = [run.partition('=') for run in arguments.runs]
    if wrong := [name for name, _, path in runs if not name or not path]:
        parser.error(f'{wrong[0] or "a run"}: write NAME=SCORES')
    arguments.runs = {name: Path(path) for name, _, path in runs}
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)

    from mmseg_uda.experiments.comparison import compare

    compare(arguments.config, arguments.runs, arguments.out, arguments.images)


if __name__ == '__main__':
    run_cli(main)
