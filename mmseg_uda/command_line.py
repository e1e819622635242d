"""Argument parser of the command lines."""

import argparse


class CommandParser(argparse.ArgumentParser):
    """argparse's parser without abbreviated options.

    Otherwise ``--out x.pkl``, an option of mmseg 0.x, would be read as ``--out-dir x.pkl``.
    """

    def __init__(self, **options) -> None:
        super().__init__(allow_abbrev=False, **options)
