"""Files that are whole or not there: atomic writing, locks, records with a schema, checksums."""

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from mmseg_uda.errors import UserError, cannot_write

SCHEMA = 1  # of the records; raised when a reader of before would misread one

LOCK = '.lock'  # of a folder, held by the one process that works there

_TEMPORARY = re.compile(r'\..+\.[a-z0-9_]{8,16}\.tmp')


@contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'wb') -> Iterator[IO]:
    """Open a file that appears under ``path`` only when it is complete.

    Writes to a temporary file in the same folder (made if missing), flushes it to the disk and
    renames it. When the body raises, or the disk is full, the temporary file is removed and
    whatever stood under ``path`` before is untouched.

    Raises:
        UserError: it cannot be written; says why.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(8)}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(temporary, mode.replace('w', 'x'))  # noqa: SIM115 - closed below
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        # where the disk is full, torch.save raises an error of its own over the system's
        reason = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(reason, OSError) and reason.filename in (None, str(temporary)):
            raise cannot_write(path, reason) from error
        raise
    _sync_folder(path.parent)


def looked_in(path: str | os.PathLike, *folders: str | os.PathLike) -> str:
    """For messages: where a relative ``path`` that is missing was looked for; '' if absolute.

    ``folders`` are further ones than the current folder.
    """
    if Path(path).is_absolute():
        return ''
    places = dict.fromkeys(map(str, (Path.cwd(), *folders)))
    return f' (looked for in {" and ".join(places)})'


def remove_temporary_files(folder: str | os.PathLike) -> None:
    """Remove what runs that were killed while they wrote left in ``folder`` and below.

    For the only process that writes there. Folders with a lock of their own are left to whoever
    holds that.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for name in names:
            if _TEMPORARY.fullmatch(name):
                Path(place, name).unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold ``folder`` for this process; the system lets go when the process ends, however it ends.

    A process lock and not a lock that forked loader workers share: those outlive a killed parent
    by seconds and would keep the next run out. What killed runs left half-written in the folder is
    removed.

    Args:
        say: wait for another process that holds it, and tell so by this.

    Raises:
        UserError: if another process works in the folder and nobody waits, or the folder cannot be
            made or written.
    """
    with _open_lock(folder) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().decode().strip() or '?'
            if say is None:
                raise UserError(
                    f'{folder} is in use by process {holder}; '
                    'wait for it, end it, or choose another --work-dir'
                ) from error
            say(f'{folder} is in use by process {holder}: waiting for it')
            fcntl.lockf(file, fcntl.LOCK_EX)
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except OSError as error:
            raise cannot_write(folder / LOCK, error) from error
        remove_temporary_files(folder)
        yield


def _open_lock(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(folder / LOCK, 'a+b', buffering=0)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f'{folder}: a file is in the way of this folder, choose another') from error
    except OSError as error:
        raise cannot_write(folder, error) from error


def save_json(path: str | os.PathLike, value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as JSON, atomically."""
    with atomic_write(path, 'w') as file:
        json.dump(value, file, indent=indent)


def save_record(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON with the ``schema`` that :func:`load_record` checks."""
    save_json(path, {'schema': SCHEMA, **content})


def load_record(
    path: str | os.PathLike, what: str, advice: str, keys: Sequence[str] = ()
) -> dict[str, Any] | None:
    """The content of a JSON file that :func:`save_record` wrote; None where there is no file.

    Files of before there was a schema are accepted.

    Args:
        what: the file is meant to be, e.g. 'the record of a stage'.
        advice: what to do if it is not.
        keys: that it must have.

    Raises:
        UserError: it cannot be read, is something else, or was written by a newer version.
    """
    try:
        content = json.loads(Path(path).read_text())
        if missing := [key for key in keys if key not in content.keys()]:  # noqa: SIM118
            raise ValueError(f'it has no {missing[0]}')
        newer = content.get('schema', SCHEMA) > SCHEMA
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'{path} is not {what} ({reason}); {advice}') from error
    if newer:
        raise UserError(
            f'{path} has schema {content["schema"]}, and this version of mmseg-uda reads up to '
            f'{SCHEMA}: update mmseg-uda'
        )
    return content


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def signature(path: Path) -> dict[str, Any]:
    """What identifies a file's content: path, size in bytes, time in ns, SHA-256."""
    stat = path.stat()
    return {
        'path': str(path),
        'size': stat.st_size,
        'mtime_ns': stat.st_mtime_ns,
        'sha256': sha256(path),
    }


def is_unchanged(path: Path, recorded: Mapping[str, Any]) -> bool:
    """Whether ``path`` has the content that ``recorded`` (a :func:`signature`) describes.

    A file of the same size and time is taken as it is; only one that was touched is read.
    """
    if not path.is_file() or path.stat().st_size != recorded['size']:
        return False
    return path.stat().st_mtime_ns == recorded['mtime_ns'] or sha256(path) == recorded['sha256']


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut (a no-op where folders cannot be opened)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
