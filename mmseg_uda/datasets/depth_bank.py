"""CDDA's bank: source crops, and their numbers of pixels of each class at each depth.

A bank made by :mod:`mmseg_uda.preparation.depth_bank` is a folder of three files:

- ``bank.json``: the settings it was made with (its fingerprint), and the SHA-256 of ``counts.npy``;
- ``rows.npz``: image file, label file, box and flip of each row. The crop of a row is cut again
  from them, identical in every pixel, instead of storing tens of gigabytes of crops;
- ``counts.npy``: float32 (classes, rows, 256). The search reads all rows of a class after those of
  another; in a memory map each class is one block, which is not copied and which the processes of a
  run share.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mmseg_uda.datasets.depth import BINS
from mmseg_uda.datasets.transforms import LabelFirstCrop, PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write, load_record, looked_in, sha256
from mmseg_uda.settings import differences

RECORD, ROWS, COUNTS = 'bank.json', 'rows.npz', 'counts.npy'
_KEYS = 'data_root', 'label_map', 'reduce_zero_label', 'crops', 'fingerprint'

Crop = tuple[Tensor, Tensor]  # image uint8 (3, H, W) RGB, label uint8 (H, W)


class DepthBank:
    """Counts and crops of N source crops.

    Attributes:
        counts: float32 (C, N, 256), pixels of each class at each depth; a read-only memory map.
        crop_size: (height, width) of the crops.
        num_classes: C.
        fingerprint: settings the bank was made with, by dotted names.
        crop: ``bank.crop(i)`` returns the crop of row i: image uint8 (3, H, W) RGB and label uint8
            (H, W), 255 = ignore.
    """

    def __init__(
        self,
        path: Path,
        counts: np.memmap,
        crop_size: Sequence[int],
        crop: Callable[[int], Crop],
        fingerprint: Mapping[str, Any],
    ) -> None:
        self.path = path
        self.counts = counts
        self.crop_size = tuple(crop_size)
        self.num_classes = len(counts)
        self.crop = crop
        self.fingerprint = dict(fingerprint)

    def __len__(self) -> int:
        return self.counts.shape[1]

    @classmethod
    def open(cls, path: str | Path) -> 'DepthBank':
        """Open the bank in a folder.

        Raises:
            UserError: there is no bank, it is unfinished or damaged, or a file of its first row is
                missing.
        """
        path = Path(path)
        record = read_record(path)
        if record is None:
            raise UserError(
                f'{path}: no bank, {RECORD} is missing{looked_in(path)}; '
                'make it with mmseg-uda depth-distributions'
            )
        if not is_finished(path, record):
            raise UserError(
                f'{path}: the bank is unfinished; repeat the mmseg-uda depth-distributions command '
                'to resume'
            )
        checksum = record.get('counts_sha256')  # banks of earlier versions have none
        if checksum and sha256(path / COUNTS) != checksum:
            raise UserError(
                f'{path / COUNTS}: damaged (checksum); remove it and make the bank again with '
                'mmseg-uda depth-distributions'
            )
        counts = open_counts(path / COUNTS)
        try:
            with np.load(path / ROWS) as stored:
                rows = {name: stored[name] for name in ('image', 'label', 'box', 'flip')}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f'{path / ROWS}: damaged ({error}); make the bank again') from error
        crop_size = record['fingerprint']['crop_size']
        if any(len(column) != counts.shape[1] for column in rows.values()):
            raise UserError(f'{path}: {ROWS} and {COUNTS} differ in length; make the bank again')
        cut = _Cutter(rows, record, path)
        for name in ('image', 'label'):
            cut.check_file(name)
        return cls(path, counts, crop_size, cut, record['fingerprint'])

    def check(
        self,
        crop_size: Sequence[int],
        num_classes: int,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> None:
        """Check that the bank fits a training.

        Args:
            crop_size: (height, width) of the training's crops.
            num_classes: of the training.
            fingerprint: of the training's source, see
                :func:`mmseg_uda.datasets.bank_source.bank_fingerprint`. Only keys that both have
                are compared, except seed and number of rows.

        Raises:
            UserError: the bank does not fit; lists the differences.
        """
        given = {'crop_size': list(crop_size), 'num_classes': num_classes}
        mine = {'crop_size': list(self.crop_size), 'num_classes': self.num_classes}
        for key, value in (fingerprint or {}).items():
            if key in self.fingerprint and key not in ('seed', 'rows'):
                given[key], mine[key] = value, self.fingerprint[key]
        if found := differences(mine, given):
            raise UserError(
                f'{self.path}: the bank does not fit the training: {", ".join(found)} (bank -> '
                'training); make another bank with mmseg-uda depth-distributions'
            )


class _Cutter:
    """Cuts the crop of a row from its files."""

    def __init__(self, rows: dict[str, np.ndarray], record: dict, path: Path) -> None:
        self.rows, self.path, self.root = rows, path, record['data_root']
        # Entries for mmseg's LoadAnnotations. JSON stores the label map's keys as strings.
        label_map = record['label_map'] and {int(k): v for k, v in record['label_map'].items()}
        self.label = {'label_map': label_map, 'reduce_zero_label': record['reduce_zero_label']}
        made_with = record['fingerprint']
        self.cut = LabelFirstCrop(made_with['scale'], made_with['crop_size'])

    def __call__(self, row: int) -> Crop:
        sample = cut_again(
            self.cut,
            {'img_path': self._file('image', row), 'seg_map_path': self._file('label', row)}
            | self.label,
            self.rows['box'][row],
            self.rows['flip'][row],
        )
        return sample['image'], sample['label']

    def check_file(self, name: str) -> None:
        file = self._file(name, 0)
        if not Path(file).is_file():
            raise UserError(f'{self.path}: its crops are cut from {file}, which is missing')

    def _file(self, name: str, row: int) -> str:
        return str(Path(self.root, str(self.rows[name][row])))


def cut_again(cut: LabelFirstCrop, info: dict, box: Sequence[int], flip: bool) -> dict:
    """Make the sample of a known box and flip, packed as by ``PackDomain``.

    Args:
        cut: transform that loads, resizes and crops.
        info: files of the sample, see :class:`LabelFirstCrop`.
        box: (y1, y2, x1, x2) in the resized image.
    """
    results = cut({**info, 'seg_fields': [], 'crop_box': tuple(map(int, box))})
    if flip:
        for key in ('img', *results['seg_fields']):
            results[key] = np.ascontiguousarray(results[key][:, ::-1])
    return PackDomain()(results)


def read_record(path: Path) -> dict | None:
    """Read ``bank.json`` in a folder; None if it does not exist.

    Raises:
        UserError: the file is damaged or of a newer version.
    """
    return load_record(path / RECORD, 'the record of a bank', 'make the bank again', _KEYS)


def is_finished(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the bank in a folder, with this ``bank.json``, has its counts."""
    # Records without a schema are older than the checksum.
    return (path / COUNTS).is_file() and ('counts_sha256' in record or 'schema' not in record)


def write_counts(path: Path, shape: Sequence[int], parts: Iterable[np.ndarray]) -> None:
    """Write counts ordered by class, atomically.

    Args:
        shape: (N, C, 256).
        parts: counts of consecutive rows, (n, C, 256) each, N rows in total.
    """
    rows, classes, bins = shape
    shape = (classes, rows, bins)
    with atomic_write(path, 'w+b') as file:
        header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        # Raises if the disk is full; writing to a memory map would kill the process.
        os.posix_fallocate(file.fileno(), start, 4 * int(np.prod(shape)))
        counts = np.memmap(file, np.float32, 'r+', start, shape)
        first = 0
        for part in parts:
            counts[:, first : first + len(part)] = part.swapaxes(0, 1)
            first += len(part)
        counts.flush()


def open_counts(path: Path) -> np.memmap:
    """Open counts (C, N, 256) that :func:`write_counts` wrote, read-only.

    Raises:
        UserError: the file is damaged or holds something else.
    """
    try:
        counts = np.lib.format.open_memmap(path, mode='r')
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: damaged ({error}); remove it and make it again') from error
    if counts.ndim != 3 or counts.dtype != np.float32 or counts.shape[2] != BINS:
        raise UserError(f'{path}: not the counts of a bank, {counts.dtype} {counts.shape}')
    return counts
