"""Make CDDA's depth bank: class and depth statistics of source crops.

    mmseg-uda depth-distributions configs/cdda/CONFIG.py --out preprocessed/gta_daformer

counts the pixels of each class at each depth in random crops of the config's source images, which
need labels, class statistics and depth maps. An interrupted run is resumed by the same command. A
bank can be used only with the same data set, scale, crop size and sampling.
"""

import argparse
from typing import Any

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the training')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the bank')
    add_options(parser)
    parser.add_argument(
        '--published',
        metavar='NAME',
        help='also write the published form: images/, labels/, depth/, <NAME>_<N>_distribution.pth',
    )
    args = parser.parse_args(argv)
    options = sampling_options(args)

    from mmseg_uda.preparation.depth_bank import make_bank_of_config

    crops = args.published is not None
    make_bank_of_config(
        args.config, args.out, nproc=args.nproc, crops=crops, published=args.published, **options
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options shared with ``run_seg.py``."""
    parser.add_argument(
        '--rows', type=int, metavar='N', help='number of crops; default: that of the source images'
    )
    parser.add_argument(
        '--nproc', type=int, default=4, metavar='K', help='number of processes (%(default)s)'
    )
    parser.add_argument('--seed', type=int, help="seed of the sampling; default: the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )


def sampling_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that determine the rows, as arguments of ``make_bank_of_config``."""
    overrides = parse_overrides(args.cfg_options)
    return dict(rows=args.rows, seed=args.seed, cfg_options=overrides)


if __name__ == '__main__':
    run_cli(main)
