#!/usr/bin/env python
"""``mmseg-uda estimate-depth``, at the path that users of mmseg know."""

from mmseg_uda.cli.estimate_depth import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
