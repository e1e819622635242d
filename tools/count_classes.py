#!/usr/bin/env python
"""Alias of ``mmseg-uda count-classes``."""

from mmseg_uda.cli.count_classes import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
