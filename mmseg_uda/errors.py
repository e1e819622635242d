"""Errors that users can correct, and how the command lines report them."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Errors raised when a component is built from a config with a wrong key or value.
BUILD_ERRORS = (TypeError, LookupError, ValueError, AttributeError, AssertionError, ImportError)

_FREE_SPACE = 'free space, or choose a folder on another disk'
_PERMISSIONS = 'change its permissions, or choose another folder'
# Errors of the operating system that users can correct -> advice.
_ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: 'raise the limit on the file size (ulimit -f), or choose another disk',
    errno.EROFS: 'choose a writable folder',
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
}


class UserError(Exception):
    """Bad input. The message is one line that names the file, the value and what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal stopped a training after a step. The message says how to resume.

    Args:
        message: message for the user; empty if another process prints it.
        signal: number of the signal.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@contextmanager
def dead_loader_workers(advice: str) -> Iterator[None]:
    """Convert the error of a killed data loader worker to a :class:`UserError` with ``advice``."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().split('\n')[0].rstrip('. ')
        if not reason.startswith('DataLoader worker (pid'):
            raise
        raise UserError(
            f'{reason}: out of memory, or killed by a user; try fewer num_workers; {advice}'
        ) from error


def cannot_write(path: object, error: OSError) -> UserError:
    """Return the error for a file or folder that cannot be written."""
    advice = _ADVICE.get(error.errno, 'choose another place')
    return UserError(f'cannot write {path}: {error.strerror or error}; {advice}')


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit.

    A :class:`UserError` is printed, with exit status 2; so is an error of the operating system that
    users can correct (disk or quota full, no permission, read-only file system). The exit status of
    :class:`Interrupted` is 128 + signal.
    """
    # Log lines that cannot be written (disk full) are dropped without a traceback for each.
    logging.raiseExceptions = False
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
    except BrokenPipeError:  # the program that reads the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        what = error.filename or 'a file cannot be written'
        print(f'error: {what}: {error.strerror}; {_ADVICE[error.errno]}', file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status or 0)
