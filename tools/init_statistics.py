#!/usr/bin/env python
"""Alias of ``mmseg-uda init-statistics``."""

from mmseg_uda.cli.init_statistics import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
