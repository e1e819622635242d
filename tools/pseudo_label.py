#!/usr/bin/env python
"""``mmseg-uda pseudo-label``, at the path that users of mmseg know."""

from mmseg_uda.cli.pseudo_label import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
