#!/usr/bin/env python
"""Alias of ``mmseg-uda pseudo-label``."""

from mmseg_uda.cli.pseudo_label import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
