"""Errors that a user can mend, and how the command lines show them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What building a component from a config raises when a key or a type is wrong.
BUILD_ERRORS = (TypeError, LookupError, ValueError, AttributeError, AssertionError, ImportError)


class UserError(Exception):
    """Bad input. The message is one line that names the file, the value and what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal ended a training after its step. The message says how to go on.

    Args:
        message: for the user; empty where another process tells it.
        signal: number of the signal.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@contextmanager
def dead_loader_workers(advice: str) -> Iterator[None]:
    """Turn the death of a loader's worker process into a :class:`UserError` with this advice."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().split('\n')[0].rstrip('. ')
        if not reason.startswith('DataLoader worker (pid'):
            raise
        raise UserError(
            f'{reason}: too little memory, or ended by somebody; try fewer num_workers; {advice}'
        ) from error


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit.

    A :class:`UserError` is printed, status 2; so is :class:`Interrupted`, status 128 + signal.
    """
    try:
        status = main()
    except UserError as error:
        # A loader worker's error arrives with the worker's traceback before the message.
        message = str(error).strip().rpartition('UserError: ')[2]
        print(f'error: {message}', file=sys.stderr)
        status = 2
    except Interrupted as stop:
        if message := str(stop):
            print(message, file=sys.stderr)
        status = 128 + stop.signal
    except KeyboardInterrupt:
        status = 130
    sys.exit(status or 0)
