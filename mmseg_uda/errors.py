"""Errors that a user can mend, and how the command lines show them."""

import sys
from collections.abc import Callable

# What building a component from a config raises when a key or a type is wrong.
BUILD_ERRORS = (TypeError, LookupError, ValueError, AttributeError, AssertionError, ImportError)


class UserError(Exception):
    """Bad input. The message is one line that names the file, the value and what to do."""


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit; a :class:`UserError` is printed, status 2."""
    try:
        status = main()
    except UserError as error:
        # A loader worker's error arrives with the worker's traceback before the message.
        message = str(error).strip().rpartition('UserError: ')[2]
        print(f'error: {message}', file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status or 0)
