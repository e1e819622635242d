"""Damage files, like a bad disk or an incomplete transfer."""

import zipfile
from pathlib import Path


def flip_bit(path: Path) -> None:
    """Flip one bit of a file: in its largest tensor, or in the middle if it is not a zip archive.

    In a tensor it is the highest exponent bit of the first float.
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
