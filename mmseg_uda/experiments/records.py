"""What a stage leaves behind: its record, what it read and wrote, and what counts as a change.

A record is ``stage.json`` in the stage's folder. It is written when the stage begins (so that one
that broke off knows what it was) and again when it has finished.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from mmseg_uda import files
from mmseg_uda.errors import UserError, cannot_write
from mmseg_uda.files import LOCK, remove_temporary_files

RECORD = 'stage.json'

# Keys of the flattened settings that leave trained weights and scores as they are.
IRRELEVANT = re.compile(
    r'(^|\.)(nproc|num_workers|persistent_workers|pin_memory|prefetch_factor)$'
    r'|^config\.(work_dir|experiment_name|resume|launcher|log_level|log_processor|visualizer|vis_backends)(\.|$)'
    r'|^config\.default_hooks\.(logger|visualization)(\.|$)'
    r'|^config\.default_hooks\.checkpoint\.(interval|keep)$'
    r'|^config\.train_cfg\.val_interval$'
)


def flatten(value: Any, prefix: str = '') -> dict[str, Any]:
    """Nested dicts and lists as one dict of dotted keys; lists of plain values stay one value."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat = {}
    for key, item in items:
        flat |= flatten(item, f'{prefix}.{key}' if prefix else key)
    return flat


def relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The flattened settings without those that change nothing in the result."""
    return {key: v for key, v in flatten(plain(settings)).items() if not IRRELEVANT.search(key)}


def plain(value: Any) -> Any:
    """``value`` as JSON keeps it: tuples become lists, what JSON lacks becomes its ``str``."""
    return json.loads(json.dumps(value, default=str))


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of the settings that matter."""
    return hashlib.sha256(json.dumps(relevant(settings), sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Readable lines ``key: old -> new`` of the settings that matter and differ."""
    before, now = relevant(old), relevant(new)
    keys = [key for key in before | now if before.get(key, ...) != now.get(key, ...)]
    show = {True: repr, False: lambda _: '(not set)'}
    return [
        f'{key}: {show[key in before](before.get(key))} -> {show[key in now](now.get(key))}'
        for key in keys
    ]


def signature(path: Path) -> dict[str, Any]:
    """What identifies the content of a file, or of each file below a folder.

    Hidden files and records of stages do not count. Of a stage's own folder it is only said that
    it is there: what the stage makes in it are outputs by themselves.
    """
    if not path.is_dir():
        return files.signature(path)
    if (path / RECORD).exists():
        return {'path': str(path), 'folder': True}
    found = sorted(
        Path(place, name).relative_to(path).as_posix()
        for place, _, names in os.walk(path, followlinks=True)
        for name in names
        if not name.startswith('.') and name != RECORD
    )
    return {'path': str(path), 'files': {name: files.signature(path / name) for name in found}}


def change(path: Path, recorded: Mapping[str, Any]) -> str | None:
    """How the content of ``path`` differs from a :func:`signature`, as the end of a sentence.

    None where it does not. Files that came into a folder since are no change: conversion, for one,
    writes labels beside their sources.
    """
    if not path.exists():
        return 'is gone'
    entries = recorded.get('files', {} if recorded.get('folder') else {'': recorded})
    for name, entry in entries.items():
        if not files.is_unchanged(path / name, entry):
            return f'has changed ({name})' if name else 'has changed'
    return None


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record in ``folder``, ``None`` where there is none.

    Raises:
        UserError: if the file is not a stage's record, or of a newer version.
    """
    advice = f'delete {folder} to run the stage again'
    keys = ('settings', 'inputs', 'finished')
    return files.load_record(folder / RECORD, 'the record of a stage', advice, keys)


def write_record(folder: Path, name: str, settings: Mapping[str, Any], **content: Any) -> None:
    """Write the record of stage ``name`` atomically; ``content`` has inputs, outputs, finished."""
    versions = {package: _version(package) for package in ('torch', 'onedl-mmsegmentation')}
    record = {
        'name': name,
        'fingerprint': fingerprint(settings),
        'settings': plain(settings),
        'versions': versions,
        **content,
    }
    files.save_record(folder / RECORD, record)


def checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints ``iter_<n>.pth`` in ``folder``, newest first."""
    found = {}
    for path in Path(folder).glob('iter_*.pth'):
        if match := re.fullmatch(r'iter_(\d+)\.pth', path.name):
            found[int(match[1])] = path
    return [found[iteration] for iteration in sorted(found, reverse=True)]


def last_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint of the highest iteration in ``folder``."""
    return next(iter(checkpoints(folder)), None)


def best_checkpoint(folder: str | Path, figure: str) -> Path:
    """Where a training keeps the weights with which ``figure`` was highest in its validations."""
    return Path(folder) / f'best_{figure}.pth'


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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
