"""What the command lines share."""

import argparse


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, where every option must be written out.

    argparse would take ``--out x.pkl``, which mmseg 0.x has, for the beginning of ``--out-dir``.
    """

    def __init__(self, **options) -> None:
        super().__init__(allow_abbrev=False, **options)
