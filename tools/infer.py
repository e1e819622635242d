#!/usr/bin/env python
"""Alias of ``mmseg-uda infer``."""

from mmseg_uda.cli.infer import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
