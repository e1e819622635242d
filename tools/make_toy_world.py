#!/usr/bin/env python
"""Alias of ``mmseg-uda make-toy-world``."""

from mmseg_uda.cli.make_toy_world import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
