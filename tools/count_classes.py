#!/usr/bin/env python
"""``mmseg-uda count-classes``, at the path that users of mmseg know."""

from mmseg_uda.cli.count_classes import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
