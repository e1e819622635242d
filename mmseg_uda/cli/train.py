"""Train one config; started by torchrun, run one process of the training.

`mmseg-uda run` also runs the other stages of an experiment, tests the result and writes a table.
"""

from contextlib import nullcontext
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.engine.launch import joined_processes, torchrun_world
from mmseg_uda.errors import run_cli
from mmseg_uda.files import exclusive


def main(argv: list[str] | None = None) -> int | None:
    """Run the command."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', metavar='DIR', help='default: work_dirs/<config name>')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the newest intact checkpoint of the work dir',
    )
    parser.add_argument(
        '--accept-changes',
        action='store_true',
        help='resume with a changed config or number of processes',
    )
    parser.add_argument('--seed', type=int, help="default: the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch'),
        help='default: pytorch if started by torchrun, else none',
    )
    parser.add_argument('--tensorboard', action='store_true', help='write TensorBoard scalars')
    arguments = parser.parse_args(argv)
    overrides = parse_overrides(arguments.cfg_options)
    launcher = arguments.launcher or ('pytorch' if torchrun_world() else 'none')
    joined = joined_processes() if launcher == 'pytorch' else nullcontext()

    from mmseg_uda.engine.config import load_config
    from mmseg_uda.engine.train import train

    config = load_config(
        arguments.config, overrides, arguments.seed, arguments.work_dir, arguments.tensorboard
    )
    with joined:
        first = launcher == 'none' or torchrun_world()[0] == 0
        with exclusive(Path(config.work_dir)) if first else nullcontext():
            train(config, arguments.resume, launcher, arguments.accept_changes)
    return None


if __name__ == '__main__':
    run_cli(main)
