#!/usr/bin/env python
"""Alias of ``mmseg-uda estimate-depth``."""

from mmseg_uda.cli.estimate_depth import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
