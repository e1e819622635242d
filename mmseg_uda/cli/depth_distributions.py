"""Make the bank of source crops that CDDA compares target images with.

    mmseg-uda depth-distributions configs/cdda/CONFIG.py --out preprocessed/gta_daformer

counts the pixels of each class at each depth in crops of the config's source, which needs labels,
class statistics and depth maps. An interrupted run is resumed by the same command. The bank belongs
to the config's data set, scale, crop size and sampling.
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
        help='write the published form too: images/, labels/, depth/, <NAME>_<N>_distribution.pth',
    )
    args = parser.parse_args(argv)
    options = sampling_options(args)

    from mmseg_uda.preparation.depth_bank import make_bank_of_config

    crops = args.published is not None
    make_bank_of_config(
        args.config, args.out, nproc=args.nproc, crops=crops, published=args.published, **options
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this command and of ``run_seg.py``."""
    parser.add_argument(
        '--rows', type=int, metavar='N', help='crops; default: as many as the source has images'
    )
    parser.add_argument('--nproc', type=int, default=4, metavar='K', help='processes (%(default)s)')
    parser.add_argument('--seed', type=int, help="of the sampling; default: the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )


def sampling_options(args: argparse.Namespace) -> dict[str, Any]:
    """What decides the rows of a bank, by the names of ``make_bank_of_config``."""
    overrides = parse_overrides(args.cfg_options)
    return dict(rows=args.rows, seed=args.seed, cfg_options=overrides)


if __name__ == '__main__':
    run_cli(main)
