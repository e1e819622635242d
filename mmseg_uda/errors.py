"""Errors that a user can mend, and how the command lines show them."""

import errno
import logging
import sys
from collections.abc import Callable

# What building a component from a config raises when a key or a type is wrong.
BUILD_ERRORS = (TypeError, KeyError, ValueError, AttributeError, AssertionError, ImportError)

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


def cannot_write(path: object, error: OSError) -> UserError:
    """The user's error for a file or folder that the system does not let us write."""
    advice = _ADVICE.get(error.errno, 'choose another place')
    return UserError(f'cannot write {path}: {error.strerror or error}; {advice}')


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command line's ``main`` and exit.

    A :class:`UserError` is printed, status 2; so is an error of the system that the user can mend
    (disk or quota full, no permission, read-only file system), wherever it comes up.
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
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        what = error.filename or 'a file cannot be written'
        print(f'error: {what}: {error.strerror}; {_ADVICE[error.errno]}', file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status or 0)
