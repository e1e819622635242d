"""Errors that a user can mend, and how the command lines show them."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What building a component from a config raises when a key or a type is wrong.
BUILD_ERRORS = (TypeError, LookupError, ValueError, AttributeError, AssertionError, ImportError)

_FREE_SPACE = 'free space, or choose a folder on another disk'
_PERMISSIONS = 'change its permissions, or choose another folder'
# What the system may refuse that is no fault of the code, and what to do.
_ADVICE = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: 'raise the limit on the size of files (ulimit -f), or choose another disk',
    errno.EROFS: 'choose a folder that can be written',
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
}


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


def cannot_write(path: object, error: OSError) -> UserError:
    """The user's error for a file or folder that the system does not let us write."""
    advice = _ADVICE.get(error.errno, 'choose another place')
    return UserError(f'cannot write {path}: {error.strerror or error}; {advice}')


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit.

    A :class:`UserError` is printed, status 2; so is an error of the system that the user can mend
    (disk or quota full, no permission, read-only file system), wherever it comes up. Of
    :class:`Interrupted` the status is 128 + signal.
    """
    # A log line that the disk has no room for is left out, without a traceback for each.
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
