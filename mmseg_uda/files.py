"""Atomic writing, folder locks, JSON records with a schema version, and checksums."""

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

SCHEMA = 1  # version of the records; increment when earlier code would misread them

LOCK = '.lock'  # file in a folder, locked by the process that works there

_TEMPORARY = re.compile(r'\..+\.[a-z0-9_]{8,16}\.tmp')


@contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'wb') -> Iterator[IO]:
    """Open a file that replaces ``path`` only after it is completely written.

    A temporary file in the same folder (created if missing) is written, flushed to disk and renamed
    to ``path``. If the body raises or the disk is full, it is removed, and an existing ``path``
    remains unchanged.

    Raises:
        UserError: the file cannot be written.
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
        # on a full disk torch.save raises a RuntimeError with the OSError as context
        reason = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(reason, OSError) and reason.filename in (None, str(temporary)):
            raise cannot_write(path, reason) from error
        raise
    _sync_folder(path.parent)


def looked_in(path: str | os.PathLike, *folders: str | os.PathLike) -> str:
    """Describe, for messages, where a relative ``path`` was searched; '' if it is absolute.

    ``folders`` are those searched after the current folder.
    """
    if Path(path).is_absolute():
        return ''
    places = dict.fromkeys(map(str, (Path.cwd(), *folders)))
    return f' (looked for in {" and ".join(places)})'


def remove_temporary_files(folder: str | os.PathLike) -> None:
    """Remove the temporary files that killed runs left in ``folder`` and below.

    Only the process that holds the lock of ``folder`` may call it. Sub-folders with their own lock
    are skipped.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for name in names:
            if _TEMPORARY.fullmatch(name):
                Path(place, name).unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Lock ``folder`` for this process; the lock is released when the process ends in any way.

    The lock is not shared with forked loader workers, which can outlive a killed parent by seconds
    and would block the next run. Temporary files of killed runs are removed.

    Args:
        folder: created if missing.
        say: if given, wait for a process that holds the lock, and call ``say`` with a message.

    Raises:
        UserError: another process holds the lock and ``say`` is None, or the folder cannot be
            created or written.
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
        raise UserError(f'{folder} is a file or lies below one: choose another folder') from error
    except OSError as error:
        raise cannot_write(folder, error) from error


def save_json(path: str | os.PathLike, value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as JSON, atomically."""
    with atomic_write(path, 'w') as file:
        json.dump(value, file, indent=indent)


def save_record(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON with the version ``schema``, which :func:`load_record` checks."""
    save_json(path, {'schema': SCHEMA, **content})


def load_record(
    path: str | os.PathLike, what: str, advice: str, keys: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Read a JSON file of :func:`save_record`; return None if it does not exist.

    Files of early versions, without ``schema``, are accepted.

    Args:
        path: the file.
        what: description of the expected content for messages, e.g. 'the record of a stage'.
        advice: what the user should do if the content is another.
        keys: required keys.

    Raises:
        UserError: the file cannot be read, has other content, or is of a newer version.
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
            f'{path} has schema {content["schema"]}, but this version of mmseg-uda reads only '
            f'up to {SCHEMA}: update mmseg-uda'
        )
    return content


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def signature(path: Path) -> dict[str, Any]:
    """Identify a file's content: path, size in bytes, modification time in ns, SHA-256."""
    stat = path.stat()
    return {
        'path': str(path),
        'size': stat.st_size,
        'mtime_ns': stat.st_mtime_ns,
        'sha256': sha256(path),
    }


def is_unchanged(path: Path, recorded: Mapping[str, Any]) -> bool:
    """Whether ``path`` has the content that ``recorded`` (a :func:`signature`) describes.

    A file of the same size and modification time counts as unchanged; others of the same size are
    compared by SHA-256.
    """
    if not path.is_file() or path.stat().st_size != recorded['size']:
        return False
    return path.stat().st_mtime_ns == recorded['mtime_ns'] or sha256(path) == recorded['sha256']


def _sync_folder(folder: Path) -> None:
    """Flush a rename in ``folder`` to disk (a no-op if folders cannot be opened)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
