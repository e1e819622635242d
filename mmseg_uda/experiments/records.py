"""What a stage leaves behind: its record, what it read and wrote, and what counts as a change.

A record is ``stage.json`` in the stage's folder. It is written when the stage begins (so that one
that broke off knows what it was) and again when it has finished.
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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
