"""Damage to files, as by a bad disk or a broken transfer."""

import zipfile
from pathlib import Path


def flip_bit(path: Path) -> None:
    """Change one bit of a file: of its largest tensor, or of its middle if it is no zip archive.

    In a tensor it is the greatest bit of the first float's exponent.
    """
    data, place = bytearray(path.read_bytes()), path.stat().st_size // 2
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            member = max(
                (item for item in archive.infolist() if '/data/' in item.filename),
                key=lambda item: item.file_size,
            )
            place = data.index(archive.read(member)) + 3
    data[place] ^= 0x40
    path.write_bytes(bytes(data))
