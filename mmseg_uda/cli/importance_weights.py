"""Compute importance weights of a config's target images, for DA-SAC's third stage.

    mmseg-uda importance-weights configs/dasac/abn_r101_gta2cs.py CHECKPOINT weights.json

predicts the target images with the checkpoint's student at full resolution. With

    mmseg-uda importance-weights configs/dasac/abn_r101_gta2cs.py weights.json --labels FOLDER

existing predictions (PNGs of train ids) are counted instead. An image's weight for a class is its
share of all pixels predicted as the class; set train_dataloader.dataset.target_sampling.weights to
the file. A file whose name ends in .data has DA-SAC's own format. An interrupted run is resumed by
the same command.
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
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', nargs='?', help='.pth file; left out with --labels')
    parser.add_argument('out', help='file of the weights; it must not exist')
    parser.add_argument('--labels', metavar='DIR', help='folder of existing predictions')
    parser.add_argument(
        '--ext',
        default='*labelIds.png',
        metavar='GLOB',
        help='file names of the existing predictions (default %(default)s)',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )
    args = parser.parse_args(argv)
    if (args.checkpoint is None) == (args.labels is None):
        parser.error('give either CHECKPOINT or --labels')
    options = parse_overrides(args.cfg_options)

    import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
    from mmseg_uda.preparation.importance_weights import weights_of_labels, weights_of_predictions

    if args.labels is None:
        weights_of_predictions(args.config, args.checkpoint, args.out, options)
    else:
        weights_of_labels(args.config, args.labels, args.ext, args.out, options)


if __name__ == '__main__':
    run_cli(main)
