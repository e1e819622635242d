"""Show the experiment table."""

from mmseg_uda.cli.run import main as run
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> int | None:
    """Run ``mmseg-uda run --list`` with further options."""
    return run(['--list', *(argv or [])])


if __name__ == '__main__':
    run_cli(main)
