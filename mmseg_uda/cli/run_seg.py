"""CDDA's preprocessing, under the name and with the flags of its published code.

Writes source crops (images/, labels/, depth/) and <dataset>_<N>_distribution.pth into a folder. The
folder is also a bank as mmseg-uda depth-distributions makes it. An interrupted run is resumed.
"""

import argparse

from mmseg_uda.cli.depth_distributions import add_options, sampling_options
from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--config',
        default='configs/cdda/cdda_daformer_mitb5_gta2cs',
        help='config of the training, .py may be left out (default: %(default)s)',
    )
    parser.add_argument(
        '--dataset_name',
        choices=('gta', 'synthia'),
        default='gta',
        help='for the name of the .pth file (default: %(default)s)',
    )
    parser.add_argument(
        '--source_preprocessed_path',
        default='preprocessed/gta_daformer',
        metavar='DIR',
        help='output folder (default: %(default)s)',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--not_get_images', action='store_true', help='only count the crops that exist already'
    )
    what.add_argument(
        '--not_get_distributions',
        action='store_true',
        help='write the crops but not the .pth file',
    )
    add_options(parser)
    args = parser.parse_args(argv)
    options = sampling_options(args)

    from mmseg_uda.preparation.depth_bank import count_stored_crops, make_bank_of_config

    folder, name = args.source_preprocessed_path, args.dataset_name
    if args.not_get_images:
        count_stored_crops(args.config, folder, name, **options)
    else:
        matrix = None if args.not_get_distributions else name
        make_bank_of_config(
            args.config, folder, nproc=args.nproc, crops=True, published=matrix, **options
        )


if __name__ == '__main__':
    run_cli(main)
