#!/usr/bin/env python
"""Alias of ``mmseg-uda depth-distributions``."""

from mmseg_uda.cli.depth_distributions import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
