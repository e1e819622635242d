#!/usr/bin/env python
"""``mmseg-uda run``: run an experiment of the table, or a config."""

from mmseg_uda.cli.run import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
