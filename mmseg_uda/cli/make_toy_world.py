"""Write a toy world: procedural driving scenes in the layouts and formats of the real data sets.

    mmseg-uda make-toy-world data/toy --nproc 2

writes data/toy/{gta,synthia,cityscapes,dark_zurich,crosscity}, which can be converted and used like
the real data sets. An interrupted run is resumed by the same command.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import run_cli


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    looks = ('game', 'sim', 'city', 'night', 'rio')
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', metavar='OUT', type=Path, help='folder of the data sets')
    parser.add_argument(
        '--size', nargs=2, type=int, default=(128, 256), metavar=('H', 'W'), help='image size'
    )
    for split, count in (('train', 300), ('val', 60), ('test', 10)):
        text = f'{split} images of each look that has this split (default: {count})'
        parser.add_argument(f'--{split}', type=int, default=count, metavar='N', help=text)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--looks', nargs='+', choices=looks, default=looks, help='visual styles, default: all'
    )
    parser.add_argument('--nproc', type=int, default=1, metavar='N', help='number of processes')
    args = parser.parse_args(argv)

    from mmseg_uda.toy import make_world

    make_world(
        args.out,
        seed=args.seed,
        size=tuple(args.size),
        counts={'train': args.train, 'val': args.val, 'test': args.test},
        nproc=args.nproc,
        looks=args.looks,
        progress=True,
    )


if __name__ == '__main__':
    run_cli(main)
