#!/usr/bin/env python
"""Alias of ``mmseg-uda convert cityscapes``."""

import sys

from mmseg_uda.cli.convert import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(lambda: main(['cityscapes', *sys.argv[1:]]))
