"""Convert the labels of a public data set to Cityscapes train ids and count the classes.

    mmseg-uda convert gta data/gta --nproc 8

Of GTA, SYNTHIA and Mapillary Vistas v1.2 the label images are converted, of Cityscapes the polygons
(lists of its splits are also written), of Cross-City the test labels of every city below ROOT.
Labels that are already converted are kept.
"""

import argparse

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli

DATASETS = ('cityscapes', 'crosscity', 'gta', 'mapillary', 'synthia')


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    options = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('dataset', choices=DATASETS)
    options.add_argument('root', metavar='ROOT', help='folder of the data set')
    options.add_argument(
        '--gt-dir', help='folder of the labels below ROOT; default: as in the published data set'
    )
    options.add_argument('-o', '--out-dir', help='folder of the statistics files (default: ROOT)')
    options.add_argument(
        '--nproc', type=int, help='number of processes; default: 1 for cityscapes, else 4'
    )
    args = options.parse_args(argv)
    nproc = args.nproc if args.nproc is not None else 1 if args.dataset == 'cityscapes' else 4
    if nproc < 1:
        raise UserError(f'--nproc {nproc}: give at least 1')

    from mmseg_uda.preparation.conversion import convert

    convert(args.dataset, args.root, args.gt_dir, args.out_dir, nproc)


if __name__ == '__main__':
    run_cli(main)
