"""Reads the raw label files of public data sets as maps of train ids."""

import json
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg_uda.datasets import labels
from mmseg_uda.datasets.image_files import PILLOW_ERRORS, decode
from mmseg_uda.errors import UserError

_UNKNOWN = 254  # marks ids that a table does not contain
_POLYGON_TRAIN_IDS = {
    name: labels.CITYSCAPES_TO_TRAIN[label_id] for name, label_id in labels.CITYSCAPES_NAMES.items()
}


@dataclass(frozen=True)
class LabelImages:
    """Location and format of a data set's label images.

    Args:
        label_dir, image_dir: folders below the root.
        image_suffix: the label ``<stem><label_suffix>`` belongs to ``<stem><image_suffix>``.
        table: raw id -> train id; an id without an entry is an error.
        red_channel: the id is the red channel of a 16-bit colour PNG; otherwise the value (or
            palette index) of an 8-bit PNG.
        label_suffix: see ``image_suffix``.
        numbered: only files whose stem ends in a digit are labels.
        count_last_id: if several ids map to one class, the statistics count only the last id that
            has pixels, as the published statistics of Mapillary do.
    """

    label_dir: str
    image_dir: str
    image_suffix: str
    table: dict[int, int]
    red_channel: bool = False
    label_suffix: str = '.png'
    numbered: bool = True
    count_last_id: bool = False


GTA = LabelImages('labels', 'images', '.png', labels.GTA_TO_TRAIN)
SYNTHIA = LabelImages('GT/LABELS', 'RGB', '.png', labels.SYNTHIA_TO_TRAIN, red_channel=True)
MAPILLARY = LabelImages(
    'labels', 'images', '.jpg', labels.MAPILLARY_TO_TRAIN, numbered=False, count_last_id=True
)
# One city; only its test images are labelled.
CROSS_CITY = LabelImages(
    'Labels/Test',
    'Images/Test',
    '.jpg',
    labels.GTA_TO_TRAIN,
    label_suffix='_eval.png',
    numbered=False,
)


def read_ids(dataset: LabelImages, path: str) -> np.ndarray:
    """Read the raw ids of a label image, uint8 or uint16 (H, W).

    Raises:
        UserError: the file is damaged or of another pixel format.
    """
    if dataset.red_channel:
        raw = decode(path, cv2.IMREAD_UNCHANGED)
        if raw.ndim != 3 or raw.dtype != np.uint16:
            raise UserError(f'{path}: expected a 16-bit colour PNG with the class id in red')
        return raw[..., 2]  # OpenCV's order is blue, green, red
    try:
        with Image.open(path) as file:
            mode, raw = file.mode, np.asarray(file)
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable PNG ({error}), fetch it again') from error
    if mode not in ('P', 'L'):
        raise UserError(f'{path}: expected 8-bit label ids (palette or grey), not mode {mode}')
    return raw


def read_label_image(dataset: LabelImages, path: str) -> np.ndarray:
    """Read a label image as train ids, uint8 (H, W).

    Raises:
        UserError: the file is damaged, of another pixel format, or has an id outside the table.
    """
    raw = read_ids(dataset, path)
    to_train = np.full(2**16, _UNKNOWN, np.uint8)
    to_train[list(dataset.table)] = list(dataset.table.values())
    to_train[labels.IGNORE] = labels.IGNORE
    label = to_train[raw]
    unknown = label == _UNKNOWN
    if unknown.any():
        ids = ', '.join(map(str, np.unique(raw[unknown])[:10]))
        raise UserError(
            f'{path}: unknown label id {ids} (known: 0..{max(dataset.table)} and {labels.IGNORE}); '
            'check that this is the right data set'
        )
    return label


def _read_polygons(path: str) -> dict:
    try:
        with open(path, encoding='utf-8') as file:
            annotation = json.load(file)
        int(annotation['imgWidth']), int(annotation['imgHeight']), annotation['objects']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: not a readable polygon file ({error!r}), fetch it again'
        ) from error
    return annotation


def canvas_size(path: str) -> tuple[int, int]:
    """Return the image size (width, height) in pixels given in a Cityscapes polygon file."""
    annotation = _read_polygons(path)
    return int(annotation['imgWidth']), int(annotation['imgHeight'])


def draw_polygons(path: str) -> np.ndarray:
    """Draw a Cityscapes polygon file as train ids, uint8 (H, W); later polygons cover earlier ones.

    Raises:
        UserError: the file is damaged, or contains an unknown label name.
    """
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
    """Return the train id of a label name, None if unknown; ``cargroup`` counts as ``car``."""
    if name not in _POLYGON_TRAIN_IDS:
        name = name.removesuffix('group')
    return _POLYGON_TRAIN_IDS.get(name)
