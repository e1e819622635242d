#!/usr/bin/env python
"""Alias of ``mmseg-uda test-work-dir``."""

from mmseg_uda.cli.test_work_dir import main
from mmseg_uda.errors import run_cli

if __name__ == '__main__':
    run_cli(main)
