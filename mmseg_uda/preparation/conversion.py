"""Converts raw label files of public data sets to PNGs of train ids, and counts the classes.

A converted label is written beside its source as ``<stem>_labelTrainIds.png`` (8-bit grey, 255 =
ignore). A second run converts only labels that are missing, damaged or older than their source;
for the others it counts the existing files.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmseg_uda.datasets import labels
from mmseg_uda.datasets.image_files import PILLOW_ERRORS, forkable_opencv, image_size
from mmseg_uda.datasets.statistics import count_classes, write_statistics
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.preparation.raw_labels import (
    CROSS_CITY,
    GTA,
    MAPILLARY,
    SYNTHIA,
    LabelImages,
    canvas_size,
    draw_polygons,
    read_ids,
    read_label_image,
)

CONVERTED = '_labelTrainIds.png'
POLYGONS = '_polygons.json'
LABEL_IMAGES = {'gta': GTA, 'mapillary': MAPILLARY, 'synthia': SYNTHIA}
DATASETS = ('cityscapes', 'crosscity', *LABEL_IMAGES)


def convert(
    dataset: str,
    root: str,
    label_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
) -> None:
    """Convert the public data set with this name (one of :data:`DATASETS`).

    Other arguments and errors: see :func:`convert_label_images`.
    """
    if dataset == 'cityscapes':
        convert_cityscapes(root, label_dir or 'gtFine', out_dir, nproc)
    elif dataset == 'crosscity':
        convert_cities(root, label_dir, out_dir, nproc)
    else:
        convert_label_images(LABEL_IMAGES[dataset], root, label_dir, out_dir, nproc)


def convert_label_images(
    dataset: LabelImages,
    root: str,
    label_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
) -> None:
    """Convert the label images of GTA, SYNTHIA, Mapillary or a city and write the statistics.

    Labels that were converted before an error are kept; the statistics are written only after all
    labels are converted.

    Args:
        dataset: description of the label images.
        root: folder of the data set; paths in the statistics start with it as given.
        label_dir: folder of the labels below ``root``; default: that of ``dataset``.
        out_dir: folder of the statistics files; default: ``root``.
        nproc: number of processes.

    Raises:
        UserError: no labels found, an image without label or the reverse, an image and a label of
            different size, a damaged file, or an unknown id.
    """
    label_dir = label_dir or dataset.label_dir
    folder = os.path.join(root, label_dir)
    names = [
        name
        for name in _files_below(folder, dataset.label_suffix)
        if not name.endswith(CONVERTED) and (not dataset.numbered or name[-5].isdigit())
    ]
    if not names:
        raise UserError(
            f'no label files in {folder}: expected {dataset.image_dir}/*{dataset.image_suffix} and '
            f'{label_dir}/*{dataset.label_suffix} below {root}'
        )
    image_folder = os.path.join(root, dataset.image_dir)
    images = None
    if os.path.isdir(image_folder):
        suffix = dataset.label_suffix
        stems = [name.removesuffix(suffix) for name in names]
        _check_pairs(image_folder, dataset.image_suffix, folder, suffix, stems)
        images = [os.path.join(image_folder, stem + dataset.image_suffix) for stem in stems]
    else:
        print(
            f'warning: no folder {image_folder}: labels are not checked against images',
            file=sys.stderr,
        )
    sources = [os.path.join(folder, name) for name in names]
    targets = [source.removesuffix('.png') + CONVERTED for source in sources]
    counts = _run(partial(_convert_label_image, dataset), sources, targets, images, nproc)
    write_statistics(out_dir or root, zip(targets, counts, strict=True))


def convert_cityscapes(
    root: str, label_dir: str = 'gtFine', out_dir: str | None = None, nproc: int = 1
) -> None:
    """Convert the polygon files of Cityscapes; write the statistics and a list of each split.

    The statistics include only files whose path contains ``train/``. ``train.txt``, ``val.txt``
    and ``test.txt`` list ``<city>/<stem>`` of each split. Arguments and errors: see
    :func:`convert_label_images`; an unknown label name is an error, too.
    """
    folder = os.path.join(root, label_dir)
    names = _files_below(folder, POLYGONS)
    if not names:
        raise UserError(
            f'no polygon files in {folder}: expected leftImg8bit/<split>/<city>/*_leftImg8bit.png '
            f'and {label_dir}/<split>/<city>/*{POLYGONS} below {root}'
        )
    splits: dict[str, list[str]] = {'train': [], 'val': [], 'test': []}
    for name in names:  # <split>/<city>/<stem>_gtFine_polygons.json
        split, _, rest = name.partition('/')
        splits.setdefault(split, []).append(rest.rsplit('_', 2)[0])
    for split in ('train', 'val'):
        image_folder = os.path.join(root, 'leftImg8bit', split)
        if os.path.isdir(image_folder):
            _check_pairs(
                image_folder,
                '_leftImg8bit.png',
                os.path.join(folder, split),
                f'_gtFine{POLYGONS}',
                splits[split],
            )
    sources = [os.path.join(folder, name) for name in names]
    targets = [source.removesuffix(POLYGONS) + CONVERTED for source in sources]
    counts = _run(partial(_convert, draw_polygons, canvas_size), sources, targets, None, nproc)
    pairs = zip(targets, counts, strict=True)
    write_statistics(out_dir or root, [pair for pair in pairs if 'train/' in pair[0]])
    for split in ('train', 'val', 'test'):
        with atomic_write(Path(out_dir or root, f'{split}.txt'), 'w') as file:
            file.writelines(f'{stem}\n' for stem in splits[split])


def convert_cities(
    root: str, label_dir: str | None = None, out_dir: str | None = None, nproc: int = 4
) -> None:
    """Convert the test labels of every Cross-City city below ``root``.

    The statistics of a city are written to ``<out_dir>/<City>``. Arguments and errors: see
    :func:`convert_label_images`.
    """
    cities = sorted(folder.parents[1] for folder in Path(root).glob('*/Images/Test'))
    if not cities:
        raise UserError(f'{root}: no folder <City>/Images/Test in it; see data/README.md')
    for city in cities:
        jpg = any((city / 'Images/Test').glob('*.jpg'))
        dataset = CROSS_CITY if jpg else replace(CROSS_CITY, image_suffix='.png')
        out = str(Path(out_dir, city.name)) if out_dir else None
        convert_label_images(dataset, str(city), label_dir, out, nproc)


def _files_below(folder: str, suffix: str) -> list[str]:
    """Return the sorted relative paths of the files below ``folder`` that end in ``suffix``."""
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.endswith(suffix) and not name.startswith('.'):
                found.append(os.path.relpath(os.path.join(place, name), folder))
    return sorted(found)


def _check_pairs(
    image_folder: str, image_suffix: str, label_folder: str, label_suffix: str, stems: list[str]
) -> None:
    images = {name.removesuffix(image_suffix) for name in _files_below(image_folder, image_suffix)}
    for stem in sorted(images.symmetric_difference(stems)):
        image = os.path.join(image_folder, stem + image_suffix)
        label = os.path.join(label_folder, stem + label_suffix)
        there, missing = (image, label) if stem in images else (label, image)
        raise UserError(f'{there} has no counterpart {missing}: add that file or remove this one')


def _run(
    work: Callable[[str, str, str | None], list[int]],
    sources: list[str],
    targets: list[str],
    images: list[str] | None,
    nproc: int,
) -> list[list[int]]:
    """Call ``work`` on every file in ``nproc`` processes; return the results in order."""
    jobs = (sources, targets, images or [None] * len(sources))
    bar = partial(tqdm, total=len(sources), unit='label', desc='convert')
    if nproc <= 1:
        return list(bar(map(work, *jobs)))
    with forkable_opencv(), ProcessPoolExecutor(nproc) as pool:
        try:
            return list(bar(pool.map(work, *jobs, chunksize=4)))
        except BrokenProcessPool as error:
            raise UserError(
                'a conversion process was killed (out of memory?): run the same command again with '
                'a smaller --nproc; converted labels are kept'
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _convert(
    read: Callable[[str], np.ndarray],
    read_size: Callable[[str], tuple[int, int]],
    source: str,
    target: str,
    image: str | None,
) -> list[int]:
    """Convert one label unless it is up to date; return its pixel count per class."""
    size = read_size(source)
    if image is not None and image_size(image) != size:
        width, height = image_size(image)
        raise UserError(
            f'{image} is {width}x{height} pixels, its label {source} is {size[0]}x{size[1]}: '
            'fetch the pair again or remove both files'
        )
    label = _read_converted(source, target, size)
    if label is None:
        label = read(source)
        with atomic_write(target) as file:
            # half the time of the default level 6 for 10 % larger files
            Image.fromarray(label).save(file, 'PNG', compress_level=4)
    return count_classes(label)


def _convert_label_image(
    dataset: LabelImages, source: str, target: str, image: str | None
) -> list[int]:
    counts = _convert(partial(read_label_image, dataset), image_size, source, target, image)
    if dataset.count_last_id:
        pixels = np.bincount(read_ids(dataset, source).ravel(), minlength=256)
        for label_id, train_id in sorted(dataset.table.items()):
            if train_id != labels.IGNORE and pixels[label_id]:
                counts[train_id] = int(pixels[label_id])
    return counts


def _read_converted(source: str, target: str, size: tuple[int, int]) -> np.ndarray | None:
    """Read a converted label (H, W); None if it is missing, damaged or older than its source."""
    try:
        if os.stat(target).st_mtime_ns < os.stat(source).st_mtime_ns:
            return None
        with Image.open(target) as file:
            if file.mode != 'L' or file.size != size:
                return None
            label = np.asarray(file)
    except PILLOW_ERRORS:
        return None
    is_train_id = (label < len(labels.CLASSES)) | (label == labels.IGNORE)
    return label if is_train_id.all() else None
