"""Draw the polygons of Cityscapes as train ids, count the classes and list the splits."""

import sys
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg_uda.errors import run_cli
from tools.convert_datasets._command import parse


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse(argv, __doc__, 'gtFine', nproc=1)
    from mmseg_uda.preparation.conversion import convert_cityscapes

    convert_cityscapes(args.root, args.gt_dir, args.out_dir, args.nproc)


if __name__ == '__main__':
    run_cli(main)
