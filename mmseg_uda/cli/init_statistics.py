"""Initialise SDCA's class distributions: one pass of a source model over the source images.

    mmseg-uda init-statistics configs/sdca/src_r101_gta2cs.py CHECKPOINT FOLDER

writes feat_dist.pth and out_dist.pth to FOLDER; set model.statistics of the adaptation to FOLDER.
An interrupted run is resumed by the same command.
"""

import argparse

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the source training')
    parser.add_argument('checkpoint', help='checkpoint of the source training')
    parser.add_argument('folder', help='folder of the written files')
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )
    args = parser.parse_args(argv)
    import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
    from mmseg_uda.preparation.class_distributions import initialise_statistics

    options = parse_overrides(args.cfg_options)
    initialise_statistics(args.config, args.checkpoint, args.folder, options)


if __name__ == '__main__':
    run_cli(main)
