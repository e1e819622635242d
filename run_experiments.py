#!/usr/bin/env python
"""``mmseg-uda run``, the front door."""

from mmseg_uda.cli.run import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
