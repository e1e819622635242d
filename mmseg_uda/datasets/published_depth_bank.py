"""CDDA's bank in the published form: a matrix of counts, and folders of crops and their labels."""

from pathlib import Path

import cv2
import numpy as np
import torch

from mmseg_uda.datasets.depth import BINS
from mmseg_uda.datasets.depth_bank import Crop, DepthBank, open_counts, write_counts
from mmseg_uda.datasets.image_files import decode, read_image
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.files import is_unchanged, load_record, looked_in, save_record, sha256, signature
from mmseg_uda.tensor_files import read_tensors


def open_published_bank(
    matrix_path: str | Path, images_dir: str | Path, labels_dir: str | Path
) -> DepthBank:
    """Open a bank in the published form.

    The first call writes the counts ordered by class beside the matrix, as ``<matrix>.counts.npy``
    with ``<matrix>.counts.json``. A later call writes them again if the matrix has changed or they
    are damaged.

    Args:
        matrix_path: ``<dataset>_<N>_distribution.pth``, a float32 tensor (N, C, 256).
        images_dir, labels_dir: folders of ``<i>.png``: crop of row i, and its train ids.

    Raises:
        UserError: a file is missing or damaged, or the matrix does not belong to these crops.
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
    return DepthBank(matrix, counts, label.shape, stored, fingerprint)


class _Stored:
    """Reads the crop of a row from the folders."""

    def __init__(self, images: Path, labels: Path) -> None:
        self.images, self.labels = images, labels

    def __call__(self, row: int) -> Crop:
        image = read_image(str(self.images / f'{row}.png'))
        path = self.labels / f'{row}.png'
        label = decode(str(path), cv2.IMREAD_UNCHANGED)
        label = label[..., 2] if label.ndim == 3 else label  # the red channel of RGB
        if label.shape != image.shape[:2]:
            raise UserError(f'{path} has another size than its image')
        packed = {'img': image, 'gt_seg_map': label, 'crop_size': label.shape, 'img_path': ''}
        sample = PackDomain()(packed)
        return sample['image'], sample['label']


def _convert(matrix: Path) -> np.memmap:
    """Counts of a published matrix ordered by class, from the files beside it if valid."""
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
    return open_counts(converted)


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
