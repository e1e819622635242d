#!/usr/bin/env python
"""``mmseg-uda convert gta``, at the path that users of mmseg know."""

import sys

from mmseg_uda.cli.convert import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(lambda: main(['gta', *sys.argv[1:]]))
