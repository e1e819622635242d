"""Predict pseudo-labels of a config's target images with a checkpoint, for SDCA's third stage.

An interrupted run is resumed by the same command.
"""

from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='.pth file')
    parser.add_argument(
        'folder', help='writes soft_labels/ (palette PNGs, 255 = not confident) and thresholds here'
    )
    parser.add_argument(
        '--quantile',
        type=float,
        default=0.5,
        help="threshold: this quantile of a class's confidences (default 0.5)",
    )
    parser.add_argument(
        '--cap', type=float, default=0.9, help='maximum of the thresholds (default 0.9)'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )
    args = parser.parse_args(argv)
    for name in ('quantile', 'cap'):
        if not 0 <= getattr(args, name) <= 1:
            parser.error(f'--{name} is {getattr(args, name)}, it must be in 0..1')
    args.cfg_options = parse_overrides(args.cfg_options)

    import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
    from mmseg_uda.preparation.pseudo_labels import generate_pseudo_labels

    generate_pseudo_labels(**vars(args))
    print(f'labels: {Path(args.folder) / "soft_labels"}')


if __name__ == '__main__':
    run_cli(main)
