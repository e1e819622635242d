"""Raw label files of the public data sets -> PNGs of train ids and class statistics.

A converted label stands next to its source as ``<stem>_labelTrainIds.png`` (8-bit grey, 255 =
ignore). A second run converts only what is missing, damaged or older than its source, and counts
the rest from the files that are there.
"""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from mmseg_uda.datasets import labels
from mmseg_uda.datasets.image_files import decode
from mmseg_uda.datasets.statistics import count_classes, write_statistics
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write

CONVERTED = '_labelTrainIds.png'
POLYGONS = '_polygons.json'
_UNKNOWN = 254  # marks ids outside a table while a label is converted
_POLYGON_TRAIN_IDS = {
    name: labels.CITYSCAPES_TO_TRAIN[label_id]
    for name, label_id in labels.CITYSCAPES_NAMES.items()
}


@dataclass(frozen=True)
class LabelImages:
    """Where a data set keeps its label images and what the values in them mean.

    Args:
        label_dir, image_dir: folders below the root.
        image_suffix: ending of the image that belongs to ``<stem>.png``.
        table: raw id -> train id; an id without an entry is an error.
        red_channel: the id is the red channel of a 16-bit colour PNG, else the value (or palette
            index) of an 8-bit PNG.
        numbered: only files whose stem ends in a digit are labels.
        count_last_id: of several ids that make up a class, the statistics count the last one that
            has pixels. The published statistics of Mapillary do so.
    """

    label_dir: str
    image_dir: str
    image_suffix: str
    table: dict[int, int]
    red_channel: bool = False
    numbered: bool = True
    count_last_id: bool = False


GTA = LabelImages('labels', 'images', '.png', labels.GTA_TO_TRAIN)
SYNTHIA = LabelImages('GT/LABELS', 'RGB', '.png', labels.SYNTHIA_TO_TRAIN, red_channel=True)
MAPILLARY = LabelImages(
    'labels', 'images', '.jpg', labels.MAPILLARY_TO_TRAIN, numbered=False, count_last_id=True
)


def convert_label_images(
    dataset: LabelImages,
    root: str,
    label_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
) -> None:
    """Convert the label images of GTA, SYNTHIA or Mapillary and write the statistics.

    Args:
        root: folder of the data set; paths in the statistics start with it as it is given.
        label_dir: folder of the labels below ``root``, where it differs from the usual one.
        out_dir: folder of the statistics files, default ``root``.
        nproc: number of processes.

    Raises:
        UserError: no labels there, an image without label or the reverse, a pair of different size,
            a damaged file, an unknown id. Labels converted so far stay; the statistics are written
            only when all labels are good.
    """
    label_dir = label_dir or dataset.label_dir
    folder = os.path.join(root, label_dir)
    names = [
        name
        for name in _files_below(folder, '.png')
        if not name.endswith(CONVERTED) and (not dataset.numbered or name[-5].isdigit())
    ]
    if not names:
        raise UserError(
            f'no label files in {folder}: expected {dataset.image_dir}/*{dataset.image_suffix} and '
            f'{label_dir}/*.png below {root}'
        )
    image_folder = os.path.join(root, dataset.image_dir)
    images = None
    if os.path.isdir(image_folder):
        stems = [name.removesuffix('.png') for name in names]
        _check_pairs(
            image_folder, dataset.image_suffix, folder, '.png', stems
        )
        images = [os.path.join(image_folder, stem + dataset.image_suffix) for stem in stems]
    else:
        print(f'warning: no folder {image_folder}, labels are not compared with it', file=sys.stderr)
    sources = [os.path.join(folder, name) for name in names]
    targets = [source.removesuffix('.png') + CONVERTED for source in sources]
    counts = _run(partial(_convert_label_image, dataset), sources, targets, images, nproc)
    write_statistics(out_dir or root, zip(targets, counts, strict=True))


def convert_cityscapes(
    root: str, label_dir: str = 'gtFine', out_dir: str | None = None, nproc: int = 1
) -> None:
    """Draw the polygon files of Cityscapes as train ids; write statistics and lists of the splits.

    Statistics count only files whose path contains ``train/``. ``train.txt``, ``val.txt`` and
    ``test.txt`` list ``<city>/<stem>`` of each split. Arguments and errors as in
    :func:`convert_label_images`; an unknown name in a polygon file is an error, too.
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
    counts = _run(partial(_convert, _draw_polygons, _canvas_size), sources, targets, None, nproc)
    pairs = zip(targets, counts, strict=True)
    write_statistics(out_dir or root, [pair for pair in pairs if 'train/' in pair[0]])
    for split in ('train', 'val', 'test'):
        with atomic_write(Path(out_dir or root, f'{split}.txt'), 'w') as file:
            file.writelines(f'{stem}\n' for stem in splits[split])


def _files_below(folder: str, suffix: str) -> list[str]:
    """Paths relative to ``folder`` of the files below it that end in ``suffix``, sorted."""
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
        raise UserError(f'{there} has no partner, {missing} is missing: add it or remove the former')


def _run(
    work: Callable[[str, str, str | None], list[int]],
    sources: list[str],
    targets: list[str],
    images: list[str] | None,
    nproc: int,
) -> list[list[int]]:
    """Call ``work`` on every file, in ``nproc`` processes, with a progress bar; keeps the order."""
    jobs = (sources, targets, images or [None] * len(sources))
    bar = partial(tqdm, total=len(sources), unit='label', desc='convert')
    if nproc <= 1:
        return list(bar(map(work, *jobs)))
    with ProcessPoolExecutor(nproc) as pool:
        try:
            return list(bar(pool.map(work, *jobs, chunksize=4)))
        except BrokenProcessPool as error:
            raise UserError(
                'a conversion process was killed (out of memory?): run the same command again with '
                'fewer --nproc; what is converted is kept'
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
    """Convert one label unless that is done; return its pixels per class."""
    size = read_size(source)
    if image is not None and (image_size := _image_size(image)) != size:
        raise UserError(
            f'{image} is {_by(image_size)} pixels, its label {source} is {_by(size)}: '
            'fetch the pair again or remove both files'
        )
    label = _read_converted(source, target, size)
    if label is None:
        label = read(source)
        with atomic_write(target) as file:
            Image.fromarray(label).save(file, 'PNG')
    return count_classes(label)


def _convert_label_image(
    dataset: LabelImages, source: str, target: str, image: str | None
) -> list[int]:
    counts = _convert(partial(_read_label_image, dataset), _image_size, source, target, image)
    if dataset.count_last_id:
        pixels = np.bincount(_read_ids(dataset, source).ravel(), minlength=256)
        for label_id, train_id in sorted(dataset.table.items()):
            if train_id != labels.IGNORE and pixels[label_id]:
                counts[train_id] = int(pixels[label_id])
    return counts


def _read_converted(source: str, target: str, size: tuple[int, int]) -> np.ndarray | None:
    """A finished label, or None where it is missing, damaged or older than its source."""
    try:
        if os.stat(target).st_mtime_ns < os.stat(source).st_mtime_ns:
            return None
        with Image.open(target) as file:
            if file.mode != 'L' or file.size != size:
                return None
            label = np.asarray(file)
    except (OSError, SyntaxError):  # what Pillow raises for a cut-off or garbled file
        return None
    is_train_id = (label < len(labels.CLASSES)) | (label == labels.IGNORE)
    return label if is_train_id.all() else None


def _image_size(path: str) -> tuple[int, int]:
    """(width, height) in an image file's header."""
    try:
        with Image.open(path) as file:
            return file.size
    except (OSError, SyntaxError) as error:
        raise UserError(f'{path}: not a readable image ({error}), fetch it again') from error


def _by(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _read_ids(dataset: LabelImages, path: str) -> np.ndarray:
    """Raw ids, uint8 or uint16 (H, W), of a label image."""
    if dataset.red_channel:
        raw = decode(path, cv2.IMREAD_UNCHANGED)
        if raw.ndim != 3 or raw.dtype != np.uint16:
            raise UserError(f'{path}: expected a 16-bit colour PNG with the class id in red')
        return raw[..., 2]  # OpenCV's order is blue, green, red
    try:
        with Image.open(path) as file:
            mode, raw = file.mode, np.asarray(file)
    except (OSError, SyntaxError) as error:
        raise UserError(f'{path}: not a readable PNG ({error}), fetch it again') from error
    if mode not in ('P', 'L'):
        raise UserError(f'{path}: expected 8-bit label ids (palette or grey), found {mode}')
    return raw


def _read_label_image(dataset: LabelImages, path: str) -> np.ndarray:
    """Train ids, uint8 (H, W), of a raw label image."""
    raw = _read_ids(dataset, path)
    to_train = np.full(2**16, _UNKNOWN, np.uint8)
    to_train[list(dataset.table)] = list(dataset.table.values())
    to_train[labels.IGNORE] = labels.IGNORE
    label = to_train[raw]
    unknown = label == _UNKNOWN
    if unknown.any():
        ids = ', '.join(map(str, np.unique(raw[unknown])[:10]))
        raise UserError(
            f'{path}: unknown label id {ids} (known: 0..{max(dataset.table)} and {labels.IGNORE}); '
            'is this the right data set?'
        )
    return label


def _read_polygons(path: str) -> dict:
    try:
        with open(path, encoding='utf-8') as file:
            annotation = json.load(file)
        int(annotation['imgWidth']), int(annotation['imgHeight']), annotation['objects']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{path}: not a readable polygon file ({error!r}), fetch it again') from error
    return annotation


def _canvas_size(path: str) -> tuple[int, int]:
    annotation = _read_polygons(path)
    return int(annotation['imgWidth']), int(annotation['imgHeight'])


def _draw_polygons(path: str) -> np.ndarray:
    """Train ids, uint8 (H, W), of a Cityscapes polygon file: later polygons cover earlier ones."""
    annotation = _read_polygons(path)
    size = int(annotation['imgWidth']), int(annotation['imgHeight'])
    canvas = Image.new('L', size, labels.IGNORE)
    draw = ImageDraw.Draw(canvas)
    try:
        for thing in annotation['objects']:
            if thing.get('deleted'):
                continue
            train_id = _train_id(thing['label'])
            if train_id is None:
                raise UserError(f'{path}: unknown label name {thing["label"]!r}')
            if train_id >= 0:
                draw.polygon([tuple(point) for point in thing['polygon']], fill=train_id)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f'{path}: bad polygon ({error!r}), fetch it again') from error
    return np.asarray(canvas)


def _train_id(name: str) -> int | None:
    """Train id of a label name; ``cargroup`` counts as ``car``. None for an unknown name."""
    if name not in _POLYGON_TRAIN_IDS:
        name = name.removesuffix('group')
    return _POLYGON_TRAIN_IDS.get(name)
