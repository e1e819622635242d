"""What the conversion commands share: their options."""

from mmseg_uda.command_line import CommandParser


def parse(argv: list[str] | None, description: str, label_dir: str, nproc: int = 4):
    """Parse ``ROOT [--gt-dir DIR] [-o OUT] [--nproc N]``."""
    parser = CommandParser(description=description)
    parser.add_argument('root', help='folder of the data set')
    parser.add_argument(
        '--gt-dir', default=label_dir, help='folder of the labels below ROOT (%(default)s)'
    )
    parser.add_argument('-o', '--out-dir', help='folder of the statistics files (default: ROOT)')
    parser.add_argument('--nproc', type=int, default=nproc, help='processes (%(default)s)')
    args = parser.parse_args(argv)
    if args.nproc < 1:
        parser.error(f'--nproc {args.nproc}: must be at least 1')
    return args
