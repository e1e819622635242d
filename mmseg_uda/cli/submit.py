"""Check predictions and pack them into the archive for a test server.

    mmseg-uda test CONFIG CHECKPOINT --format-only --eval-options imgfile_prefix=labels
    mmseg-uda submit dark-zurich labels --out submit.zip

DIR contains label PNGs (train ids), or a folder labelTrainIds and, optionally, the folders
labelTrainIds_invalid and confidence; if these two are missing, copies of the labels are used.
"""

import argparse
import sys
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli

IMAGES = 'data/dark_zurich/rgb_anon/test/night'


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('server', choices=['dark-zurich'])
    parser.add_argument('folder', metavar='DIR', help='folder of the predictions')
    parser.add_argument('--out', required=True, metavar='ZIP', help='the archive')
    parser.add_argument(
        '--images',
        metavar='DIR',
        help='folder of the test images; labels must have their names and sizes (default: '
        f'{IMAGES}; if it does not exist, only number and size of the labels are checked)',
    )
    args = parser.parse_args(argv)
    out = Path(args.out)
    if out.suffix != '.zip':
        raise UserError(f'--out {out}: the name must end in .zip')

    from mmseg_uda.evaluation.submission import dark_zurich, write_archive

    images = Path(args.images or IMAGES)
    if args.images is None and not images.is_dir():
        images = None
        print(f'no images in {IMAGES}: names of labels are not checked', file=sys.stderr)
    folders = dark_zurich(Path(args.folder), images)
    write_archive(folders, out)
    count = len(next(iter(folders.values())))
    print(f'{out}: {count} labels in each of {", ".join(folders)}')


if __name__ == '__main__':
    run_cli(main)
