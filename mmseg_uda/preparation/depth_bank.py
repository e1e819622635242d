"""Makes CDDA's depth bank (:mod:`mmseg_uda.datasets.depth_bank`) and its published form.

Row i is the source sample at position i of a training with the same seed: chosen by rare class
sampling, cropped and flipped. The bank therefore does not depend on the number of processes.
Finished blocks of rows are kept in ``parts/`` until all exist: an interrupted call can be resumed.

Images are decoded although only labels and depth maps are counted, so that a damaged file is
found here and not during training.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
from mmseg_uda.datasets.bank_source import bank_source
from mmseg_uda.datasets.depth import BINS, depth_counts
from mmseg_uda.datasets.depth_bank import (
    COUNTS,
    RECORD,
    ROWS,
    DepthBank,
    is_finished,
    read_record,
    write_counts,
)
from mmseg_uda.datasets.image_files import decode, forkable_opencv
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write, exclusive, save_record, sha256
from mmseg_uda.settings import differences

PARTS = 'parts'
#: Sub-folders of the published form, each with files ``<row>.png``.
IMAGES, LABELS, DEPTHS = 'images', 'labels', 'depth'

_ROWS_PER_PART = 32


def make_bank_of_config(
    config: str,
    folder: str,
    rows: int | None = None,
    nproc: int = 4,
    seed: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    crops: bool = False,
    published: str | None = None,
) -> None:
    """Make, or resume, the bank of a config's source data in ``folder``.

    Args:
        config: file of the training config.
        rows, nproc, crops: see :func:`make_bank`.
        seed: seed of the sampling; default: the config's.
        cfg_options: changes of the config, dotted key -> value.
        published: name of a data set, such as ``gta``: also write the published matrix
            ``<name>_<rows>_distribution.pth``.

    Raises:
        UserError: see :func:`make_bank`.
    """
    if nproc < 1:
        raise UserError(f'--nproc {nproc}: give at least 1')
    with _training_data(config, seed, cfg_options) as dataset, exclusive(Path(folder)):
        bank = make_bank(dataset, folder, rows, nproc, crops)
        print(f'{folder}: {len(bank)} crops of {bank.crop_size[0]}x{bank.crop_size[1]}')
        if published is not None:
            write_matrix(bank, Path(folder, f'{published}_{len(bank)}_distribution.pth'))


def count_stored_crops(
    config: str,
    folder: str,
    published: str,
    rows: int | None = None,
    seed: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> None:
    """Write the published matrix of the crops in ``folder`` (``labels/``, ``depth/``).

    Arguments and errors: see :func:`make_bank_of_config`.
    """
    with _training_data(config, seed, cfg_options) as dataset, exclusive(Path(folder)):
        made_with = bank_source(dataset, rows)[1]
        rows, classes = made_with['rows'], made_with['num_classes']
        count_crops(
            Path(folder), rows, classes, Path(folder, f'{published}_{rows}_distribution.pth')
        )


@contextmanager
def _training_data(
    config: str, seed: int | None, cfg_options: Mapping[str, Any] | None
) -> Iterator[dict]:
    """Yield the config of the training data, with mmseg as the default registry scope."""
    settings = load_config(config, cfg_options, seed)
    if 'train_dataloader' not in settings:
        raise UserError(f'config {config} has no train_dataloader')
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield settings.train_dataloader.dataset


def make_bank(
    cfg: Mapping[str, Any],
    out: str | Path,
    rows: int | None = None,
    nproc: int = 4,
    crops: bool = False,
) -> DepthBank:
    """Make or resume the bank of a training's source data; a finished bank is only opened.

    Args:
        cfg: config of the training data, see :func:`bank_source`.
        out: folder of the bank.
        rows: number of rows; default: the number of source images.
        nproc: number of worker processes; 1 = none.
        crops: also write the crops, as in the published form.

    Raises:
        UserError: no depth maps, a pipeline that a bank cannot reproduce, bad data, or ``out``
            holds a bank made with other settings.
    """
    out = Path(out)
    dataset, made_with = bank_source(cfg, rows)
    source = dataset.source.datasets[0]
    label_info = source.get_data_info(0)
    record = {
        'data_root': source.data_root or '',
        'label_map': label_info['label_map'],
        'reduce_zero_label': label_info['reduce_zero_label'],
        'crops': crops,
        'fingerprint': made_with,
    }
    if old := read_record(out):
        if found := differences(old['fingerprint'], made_with):
            raise UserError(
                f'{out} holds a bank made with other settings: {", ".join(found)} (that bank -> '
                'now); choose another folder or remove it'
            )
        if is_finished(out, old) and (old['crops'] or not crops):
            return DepthBank.open(out)
    if old is None or {key: old[key] for key in record} != json.loads(json.dumps(record)):
        (out / COUNTS).unlink(missing_ok=True)  # crops are missing: start again
        shutil.rmtree(out / PARTS, ignore_errors=True)
        save_record(out / RECORD, record)
    parts = _Parts(dataset, out, made_with['rows'], crops)
    _make_parts(parts, nproc)
    _join_parts(parts, out, (made_with['rows'], made_with['num_classes'], BINS))
    save_record(out / RECORD, record | {'counts_sha256': sha256(out / COUNTS)})
    shutil.rmtree(out / PARTS)
    return DepthBank.open(out)


def _join_parts(parts: '_Parts', out: Path, shape: tuple[int, int, int]) -> None:
    """Write the rows and the counts (rows, classes, bins) of all parts as one file each."""
    columns = [
        {name: part[name] for name in ('image', 'label', 'box', 'flip')} for part in parts.read()
    ]
    with atomic_write(out / ROWS) as file:
        np.savez_compressed(
            file, **{name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
        )
    write_counts(out / COUNTS, shape, (part['counts'] for part in parts.read()))


def write_matrix(bank: DepthBank, path: Path) -> None:
    """Write the counts in the published form: a float32 tensor (rows, classes, 256)."""
    _save_matrix(np.ascontiguousarray(bank.counts.swapaxes(0, 1)), path)


def count_crops(folder: Path, rows: int, num_classes: int, path: Path) -> None:
    """Write the published matrix of the crops ``labels/<row>.png`` and ``depth/<row>.png``.

    Raises:
        UserError: a crop is missing or damaged, or its label and depth map differ in size.
    """
    counts = np.empty((rows, num_classes, BINS), np.float32)
    for row in tqdm(range(rows), desc='count', unit='crop'):
        files = [str(folder / name / f'{row}.png') for name in (LABELS, DEPTHS)]
        label, depth = (decode(file, cv2.IMREAD_GRAYSCALE) for file in files)
        if label.shape != depth.shape:
            raise UserError(f'{files[0]} and {files[1]} differ in size')
        counts[row] = depth_counts(label, depth, num_classes)
    _save_matrix(counts, path)


def _save_matrix(counts: np.ndarray, path: Path) -> None:
    with atomic_write(path) as file:
        torch.save(torch.from_numpy(counts), file)


class _Parts(Dataset):
    """Parts (blocks of rows) of a bank; ``parts[i]`` makes part i if its file is missing."""

    def __init__(self, dataset: SourceTargetDataset, out: Path, rows: int, crops: bool) -> None:
        self.dataset, self.out, self.crops = dataset, out, crops
        self.bounds = [
            (first, min(first + _ROWS_PER_PART, rows)) for first in range(0, rows, _ROWS_PER_PART)
        ]

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, number: int) -> int:
        """Make a part if it is missing; return its number of rows."""
        first, end = self.bounds[number]
        if not self.path(number).exists():
            made = [self._row(row) for row in range(first, end)]
            with atomic_write(self.path(number)) as file:
                np.savez_compressed(
                    file, **{name: np.stack([row[name] for row in made]) for name in made[0]}
                )
        return end - first

    def path(self, number: int) -> Path:
        """File of a part."""
        return self.out / PARTS / f'{number:06d}.npz'

    def read(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Yield the arrays of each part; first axis = rows."""
        for number in range(len(self)):
            with np.load(self.path(number)) as part:
                yield part

    def _row(self, row: int) -> dict[str, np.ndarray]:
        (sample,) = self.dataset[row]['source']
        image, label, depth = (sample[name].numpy() for name in ('image', 'label', 'depth'))
        if self.crops:
            pictures = {
                IMAGES: image.transpose(1, 2, 0),
                LABELS: label,
                DEPTHS: depth.astype(np.uint8),
            }
            for folder, picture in pictures.items():
                with atomic_write(self.out / folder / f'{row}.png') as file:
                    Image.fromarray(picture).save(file, 'PNG', compress_level=4)
        root = self.dataset.source.datasets[0].data_root or '.'
        counts = depth_counts(label, depth, self.dataset.num_classes)
        return {
            'image': np.array(os.path.relpath(sample['path'], root)),
            'label': np.array(os.path.relpath(sample['label_path'], root)),
            'box': np.array(sample['box'], np.int32),
            'flip': np.array(sample['flip']),
            'counts': counts.astype(np.uint32),
        }


def _make_parts(parts: _Parts, nproc: int) -> None:
    """Make the missing parts in ``nproc`` processes."""
    missing = [number for number in range(len(parts)) if not parts.path(number).exists()]
    sizes = [end - first for first, end in parts.bounds]
    rows = sum(sizes)
    done = rows - sum(sizes[number] for number in missing)
    loader = DataLoader(
        parts,
        batch_size=None,
        sampler=missing,
        num_workers=0 if nproc == 1 else min(nproc, len(missing)),
    )
    bar = tqdm(total=rows, initial=done, desc='depth bank', unit='crop')
    with bar, forkable_opencv():
        try:
            for number in loader:
                bar.update(number)
        except RuntimeError as error:
            if 'killed' not in str(error) and 'exited unexpectedly' not in str(error):
                raise
            raise UserError(
                'a process was killed (out of memory?): run the same command again with a smaller '
                '--nproc; finished parts are kept'
            ) from error
