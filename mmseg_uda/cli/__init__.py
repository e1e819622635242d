"""The command ``mmseg-uda VERB``: a module a verb. Importing one imports nothing heavy."""

import argparse


def parser(description: str, **options) -> argparse.ArgumentParser:
    """A parser of a verb: its docstring is shown as it is, and options cannot be abbreviated.

    Args:
        options: of :class:`argparse.ArgumentParser`.
    """
    return argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )
