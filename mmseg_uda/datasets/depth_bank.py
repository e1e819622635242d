"""The bank of CDDA: source crops, and how many pixels of each class they have at each depth.

A bank that :mod:`mmseg_uda.preparation.depth_bank` made is a folder of three files:

- ``bank.json``: what it was made with, its fingerprint, and the SHA-256 of ``counts.npy``;
- ``rows.npz``: image file, label file, box and flip of each row, from which its crop is cut again,
  pixel by pixel the same, so that no tens of gigabytes of crops are stored;
- ``counts.npy``: float32 (classes, rows, 256), dense and class by class. The search reads all rows
  of one class after the other; a memory map gives each as one block, without a copy in memory, and
  the operating system shares it among the processes of a run.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg_uda.datasets.depth import BINS
from mmseg_uda.datasets.image_files import decode, read_image
from mmseg_uda.datasets.transforms import LabelFirstCrop, PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.files import (
    atomic_write,
    is_unchanged,
    load_record,
    looked_in,
    save_record,
    sha256,
    signature,
)
from mmseg_uda.settings import differences
from mmseg_uda.tensor_files import read_tensors

RECORD, ROWS, COUNTS = 'bank.json', 'rows.npz', 'counts.npy'
_KEYS = 'data_root', 'label_map', 'reduce_zero_label', 'crops', 'fingerprint'

Crop = tuple[Tensor, Tensor]  # image uint8 (3, H, W) RGB, label uint8 (H, W)


class DepthBank:
    """Counts and crops of N source crops.

    Attributes:
        counts: float32 (C, N, 256), pixels of each class and depth; a read-only memory map.
        crop_size: (height, width) of the crops.
        num_classes: C.
        fingerprint: what the bank was made with, by dotted names.
        crop: ``bank.crop(i)`` gives the crop of row i: image (uint8 (3, H, W), RGB) and label
            (uint8 (H, W), 255 = ignore).
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
            UserError: there is none, it is unfinished or damaged, or a file of its first row is
                gone.
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
                f'{path}: the bank is unfinished; mmseg-uda depth-distributions, called as before, '
                'goes on with it'
            )
        checksum = record.get('counts_sha256')  # banks of before have none
        if checksum and sha256(path / COUNTS) != checksum:
            raise UserError(
                f'{path / COUNTS}: damaged (checksum); remove it and make the bank again with '
                'mmseg-uda depth-distributions'
            )
        counts = _open_counts(path / COUNTS)
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

    @classmethod
    def from_published(
        cls, matrix_path: str | Path, images_dir: str | Path, labels_dir: str | Path
    ) -> 'DepthBank':
        """Open a bank in the published form.

        The first call writes the counts class by class beside the matrix, as
        ``<matrix>.counts.npy`` with ``<matrix>.counts.json``, and so does a later one if the matrix
        has changed or these counts are damaged.

        Args:
            matrix_path: ``<dataset>_<N>_distribution.pth``, a float32 tensor (N, C, 256).
            images_dir, labels_dir: ``<i>.png``, the crop of row i and its train ids.

        Raises:
            UserError: a file is missing or damaged, or the matrix is not of these crops.
        """
        matrix, images, labels = Path(matrix_path), Path(images_dir), Path(labels_dir)
        if not matrix.is_file():
            raise UserError(f'{matrix}: not found{looked_in(matrix)}; run_seg.py makes it')
        counts = _convert(matrix)
        for folder in (images, labels):
            _check_numbered(folder, counts.shape[1], matrix)
        stored = _Stored(images, labels)
        for row in (0, counts.shape[1] - 1):
            label = stored(row)[1].numpy()
            if np.count_nonzero(label < len(counts)) != counts[:, row].sum():
                raise UserError(
                    f'{matrix}: row {row} does not count the pixels of {labels / f"{row}.png"}; '
                    'matrix and crops must come from one run'
                )
        fingerprint = {'crop_size': list(label.shape), 'rows': counts.shape[1]}
        return cls(matrix, counts, label.shape, stored, fingerprint)

    def check(
        self,
        crop_size: Sequence[int],
        num_classes: int,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> None:
        """Check that the bank belongs to a training.

        Args:
            crop_size: (height, width) of the training's crops.
            fingerprint: of the training's config; only what both state is compared, and neither
                seed nor number of rows, which are the bank's own.

        Raises:
            UserError: it does not; says what differs.
        """
        given = {'crop_size': list(crop_size), 'num_classes': num_classes}
        mine = {'crop_size': list(self.crop_size), 'num_classes': self.num_classes}
        for key, value in (fingerprint or {}).items():
            if key in self.fingerprint and key not in ('seed', 'rows'):
                given[key], mine[key] = value, self.fingerprint[key]
        if found := differences(mine, given):
            raise UserError(
                f'{self.path}: the bank does not fit the training: {", ".join(found)} (bank -> '
                'training); make another with mmseg-uda depth-distributions'
            )


class _Cutter:
    """Cuts the crop of a row out of its files again."""

    def __init__(self, rows: dict[str, np.ndarray], record: dict, path: Path) -> None:
        self.rows, self.path, self.root = rows, path, record['data_root']
        # what mmseg's LoadAnnotations asks for; JSON has made strings of the label map's keys
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
            raise UserError(f'{self.path}: its crops are cut from {file}, which is not there')

    def _file(self, name: str, row: int) -> str:
        return str(Path(self.root, str(self.rows[name][row])))


class _Stored:
    """Reads the crop of a row from the published form's folders."""

    def __init__(self, images: Path, labels: Path) -> None:
        self.images, self.labels = images, labels

    def __call__(self, row: int) -> Crop:
        image = read_image(str(self.images / f'{row}.png'))
        path = self.labels / f'{row}.png'
        label = decode(str(path), cv2.IMREAD_UNCHANGED)
        label = label[..., 2] if label.ndim == 3 else label  # of RGB, red is what counts
        if label.shape != image.shape[:2]:
            raise UserError(f'{path} has another size than its image')
        packed = {'img': image, 'gt_seg_map': label, 'crop_size': label.shape, 'img_path': ''}
        sample = PackDomain()(packed)
        return sample['image'], sample['label']


def cut_again(cut: LabelFirstCrop, info: dict, box: Sequence[int], flip: bool) -> dict:
    """The sample of a known box and flip, packed as ``PackDomain`` does.

    Args:
        cut: loads and resizes.
        info: the sample's files, see :class:`LabelFirstCrop`.
    """
    results = cut({**info, 'seg_fields': [], 'crop_box': tuple(map(int, box))})
    if flip:
        for key in ('img', *results['seg_fields']):
            results[key] = np.ascontiguousarray(results[key][:, ::-1])
    return PackDomain()(results)


def read_record(path: Path) -> dict | None:
    """What ``bank.json`` in a folder says; None: there is none.

    Raises:
        UserError: it is damaged or of a newer version.
    """
    return load_record(path / RECORD, 'the record of a bank', 'make the bank again', _KEYS)


def is_finished(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether the bank in a folder, with this ``bank.json``, has its counts."""
    # Records without a schema are of before the checksum.
    return (path / COUNTS).is_file() and ('counts_sha256' in record or 'schema' not in record)


def write_counts(path: Path, shape: Sequence[int], parts: Iterable[np.ndarray]) -> None:
    """Write counts class by class, atomically.

    Args:
        shape: (N, C, 256).
        parts: the counts of consecutive rows, N in all, each (n, C, 256).
    """
    rows, classes, bins = shape
    shape = (classes, rows, bins)
    with atomic_write(path, 'w+b') as file:
        header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        # A disk that is full says so here; to write to a memory map on it would kill the process.
        os.posix_fallocate(file.fileno(), start, 4 * int(np.prod(shape)))
        counts = np.memmap(file, np.float32, 'r+', start, shape)
        first = 0
        for part in parts:
            counts[:, first : first + len(part)] = part.swapaxes(0, 1)
            first += len(part)
        counts.flush()


def _open_counts(path: Path) -> np.memmap:
    try:
        counts = np.lib.format.open_memmap(path, mode='r')
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: damaged ({error}); remove it and make it again') from error
    if counts.ndim != 3 or counts.dtype != np.float32 or counts.shape[2] != BINS:
        raise UserError(f'{path}: not the counts of a bank, {counts.dtype} {counts.shape}')
    return counts


def _convert(matrix: Path) -> np.memmap:
    """The counts of a published matrix class by class, from the files beside it where they fit."""
    converted = matrix.with_suffix('.counts.npy')
    written = converted.with_suffix('.json')
    record = load_record(
        written, 'the record of converted counts', 'remove it', ('matrix', 'counts_sha256')
    )
    if not (
        record
        and converted.is_file()
        and is_unchanged(matrix, record['matrix'])
        and sha256(converted) == record['counts_sha256']
    ):
        published = _read_matrix(matrix)
        write_counts(converted, published.shape, [published])
        save_record(written, {'matrix': signature(matrix), 'counts_sha256': sha256(converted)})
    return _open_counts(converted)


def _read_matrix(path: Path) -> np.ndarray:
    matrix = read_tensors(path, 'fetch it again, or make it with run_seg.py')
    found = tuple(matrix.shape) if torch.is_tensor(matrix) else type(matrix).__name__
    if not torch.is_tensor(matrix) or matrix.shape[2:] != (BINS,) or not len(matrix):
        raise UserError(f'{path}: a tensor (rows, classes, {BINS}) is needed, this is {found}')
    return matrix.float().numpy()


def _check_numbered(folder: Path, number: int, matrix: Path) -> None:
    for row in range(number):
        file = folder / f'{row}.png'
        if not file.is_file():
            raise UserError(f'{file} is missing; {matrix.name} has {number} rows')
