#!/usr/bin/env python
"""Alias of ``mmseg-uda importance-weights``."""

from mmseg_uda.cli.importance_weights import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
