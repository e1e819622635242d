"""A file of pixel counts by image that grows image by image and survives a killed process."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_uda.errors import UserError, cannot_write
from mmseg_uda.files import atomic_write
from mmseg_uda.settings import differences


class CountsFile:
    """Pixels of each class in images, kept in a file of lines of JSON.

    The first line is the call that counts, each further line ``[name, counts]``. A last line that
    is cut off is dropped.

    Args:
        path: the file; created if missing.
        call: settings that determine the counts, of JSON types.
        num_classes: numbers in each line.

    Raises:
        UserError: the file is damaged, of another call, or cannot be written.
    """

    def __init__(self, path: Path, call: Mapping[str, Any], num_classes: int) -> None:
        self.path = path
        self._counts: dict[str, list[int]] = {}
        if path.exists():
            self._read(call, num_classes)
        else:
            with atomic_write(path, 'w') as file:
                file.write(json.dumps(call) + '\n')
        try:
            self._file = open(path, 'a')
        except OSError as error:
            raise cannot_write(path, error) from error

    def __contains__(self, name: str) -> bool:
        return name in self._counts

    def __getitem__(self, name: str) -> list[int]:
        return self._counts[name]

    def add(self, name: str, counts: Sequence[int]) -> None:
        """Add an image; its counts are on the disk when this returns, unless the machine fails."""
        self._counts[name] = list(counts)
        try:
            self._file.write(json.dumps([name, self._counts[name]]) + '\n')
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def remove(self) -> None:
        """Remove the file when it is no longer needed."""
        self._file.close()
        self.path.unlink()

    def _read(self, call: Mapping[str, Any], num_classes: int) -> None:
        advice = f'delete it, or write to another file than {self.path.with_suffix("")}'
        text = self.path.read_text()
        complete = text[: text.rfind('\n') + 1]
        try:
            saved, *rows = map(json.loads, complete.splitlines())
            self._counts = {name: counts for name, counts in rows}
            if not isinstance(saved, dict) or {*map(len, self._counts.values())} - {num_classes}:
                raise ValueError('of another form')
        except (ValueError, TypeError) as error:
            raise UserError(f'{self.path} is damaged ({error}): {advice}') from error
        if changed := differences(saved, call):
            raise UserError(f'{self.path} was saved with other settings ({changed[0]}): {advice}')
        if len(complete) < len(text):
            with atomic_write(self.path, 'w') as file:
                file.write(complete)
