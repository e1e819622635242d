"""Writes toy data sets to disk; can be interrupted and repeated."""

import hashlib
import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..errors import UserError
from ..files import atomic_write, load_record, save_record
from . import looks as tables
from .writers import FOLDERS, SPLITS, Sample, files

LOOKS = tuple(FOLDERS)
DEFAULT_COUNTS = {'train': 300, 'val': 60, 'test': 10}
_RECIPE = 1  # increment when code changes the images; table changes are detected
_RECORD = 'toy_world.json'

Job = tuple[str, str, int]  # look, split, index


def make_world(
    out: str | Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (128, 256),
    counts: Mapping[str, int] | None = None,
    nproc: int = 1,
    looks: Sequence[str] = LOOKS,
    progress: bool = False,
) -> None:
    """Write the data sets of the given looks below ``out``, in the real data sets' layouts.

    Image i of a split depends only on (seed, look, split, i) and the size. Existing files are kept,
    so an interrupted call can be repeated, and a later call may request more images or looks.

    Args:
        size: (H, W) of the images in pixels.
        counts: images per look of the splits ``train``, ``val`` and ``test``. A look that has no
            such split ignores it.
        nproc: number of processes (started with ``spawn`` if more than 1).
        progress: show a progress bar.

    Raises:
        UserError: for a bad argument, or when ``out`` holds a world of another seed, size or
            recipe, a world with more images, or other data.
    """
    out, size = Path(out), (int(size[0]), int(size[1]))
    counts = DEFAULT_COUNTS | dict(counts or {})
    _check_arguments(seed, size, counts, nproc, looks)
    wanted = {look: {split: counts[split] for split in SPLITS[look]} for look in looks}
    _record(out, seed, size, wanted)
    jobs = [
        (look, split, index)
        for look, splits in wanted.items()
        for split, count in splits.items()
        for index in range(count)
    ]
    work = partial(_make, out, seed, size)
    if nproc == 1:
        _run(map(work, jobs), len(jobs), progress)
        return
    with multiprocessing.get_context('spawn').Pool(nproc, initializer=_one_thread) as pool:
        _run(pool.imap_unordered(work, jobs, chunksize=4), len(jobs), progress)


def _make(out: Path, seed: int, size: tuple[int, int], job: Job) -> None:
    missing = {p: encode for p, encode in files(*job).items() if not (out / p).exists()}
    if not missing:
        return
    sample = Sample(seed, *job, size)
    for path, encode in missing.items():
        with atomic_write(out / path) as file:
            file.write(encode(sample))


def _run(results: Iterable[None], total: int, progress: bool) -> None:
    for _ in tqdm(results, total=total, desc='toy world', unit='image', disable=not progress):
        pass


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _check_arguments(seed, size, counts, nproc, looks) -> None:
    if seed < 0:
        raise UserError(f'seed {seed}: give 0 or more')
    if size[0] < 32 or size[1] < 64:
        raise UserError(f'size {size[0]}x{size[1]}: give at least 32x64 (height x width)')
    if nproc < 1:
        raise UserError(f'nproc {nproc}: give at least 1')
    for look in looks:
        if look not in LOOKS:
            raise UserError(f"look '{look}' is unknown: choose from {', '.join(LOOKS)}")
    for split, count in counts.items():
        if split not in DEFAULT_COUNTS:
            raise UserError(f"split '{split}' is unknown: choose from {', '.join(DEFAULT_COUNTS)}")
        if count < 0:
            raise UserError(f'{count} {split} images: give 0 or more')


def _record(out: Path, seed: int, size: tuple[int, int], wanted: dict) -> None:
    """Check that ``out`` fits the request, then record what it will contain."""
    path = out / _RECORD
    new = {'seed': seed, 'size': list(size), 'recipe': _recipe()}
    keys = (*new, 'images')
    old = load_record(path, 'the record of a toy world', 'delete its folder', keys)
    for name, value in new.items():
        if old and old[name] != value:
            raise UserError(
                f'{path}: the existing world has {name} {old[name]}, not {value}; '
                'choose another folder or delete this one'
            )
    images = dict(old['images']) if old else {}
    for look, splits in wanted.items():
        if look not in images and (out / FOLDERS[look]).exists():
            raise UserError(
                f'{out / FOLDERS[look]} exists but is no toy data set; choose another folder'
            )
        for split, count in splits.items():
            there = images.get(look, {}).get(split, 0)
            if there > count:
                raise UserError(
                    f'{path}: the existing world has {there} {split} images of look {look}, not '
                    f'{count}; choose another folder or delete this one'
                )
        images[look] = splits
    new['images'] = images
    if old is None or any(old[name] != value for name, value in new.items()):
        save_record(path, new)


def _recipe() -> str:
    """Return an identifier of the code and tables that determine the images."""
    recipe = (_RECIPE, tables.DISTRICTS, tables.LAYOUTS, tables.PALETTE, tables.LOOKS)
    return f'{_RECIPE}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}'
