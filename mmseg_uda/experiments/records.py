"""The record of a stage: its settings, its inputs and outputs with checksums, and what changed.

A record is ``stage.json`` in the stage's folder. It is written when the stage starts, so that an
interrupted one is recognised, and again when it has finished.
"""

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mmseg_uda import files
from mmseg_uda.settings import fingerprint, plain

RECORD = 'stage.json'


def signature(path: Path) -> dict[str, Any]:
    """What identifies the content of an input or output.

    A stage's own folder is only known to exist: what the stage makes in it are outputs themselves.
    """
    if (path / RECORD).exists():
        return {'path': str(path), 'folder': True}
    return content(path)


def content(path: Path) -> dict[str, Any]:
    """What identifies the content of a file, or of each file below a folder.

    Hidden files and records of stages do not count.
    """
    if not path.is_dir():
        return files.signature(path)
    found = sorted(
        Path(place, name).relative_to(path).as_posix()
        for place, _, names in os.walk(path, followlinks=True)
        for name in names
        if not name.startswith('.') and name != RECORD
    )
    return {'path': str(path), 'files': {name: files.signature(path / name) for name in found}}


def change(path: Path, recorded: Mapping[str, Any]) -> str | None:
    """How ``path`` differs from a recorded :func:`signature` or :func:`content`, as a predicate.

    ``None`` if it does not. Files that were added to a folder are no change: conversion, for
    example, writes labels beside their sources.
    """
    if not path.exists():
        return 'is gone'
    entries = recorded.get('files', {} if recorded.get('folder') else {'': recorded})
    for name, entry in entries.items():
        if not files.is_unchanged(path / name, entry):
            return f'has changed ({name})' if name else 'has changed'
    return None


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record in ``folder``, ``None`` if there is none.

    Raises:
        UserError: the file is not the record of a stage, or is of a newer version.
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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
