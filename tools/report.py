#!/usr/bin/env python
"""Alias of ``mmseg-uda report``."""

from mmseg_uda.cli.report import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
