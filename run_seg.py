#!/usr/bin/env python
"""``mmseg-uda run-seg``, under the name of CDDA's published script."""

from mmseg_uda.cli.run_seg import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
