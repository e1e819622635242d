"""Encodes toy images and labels in the folders, names and formats of the real data sets.

============ ================================ ==========================================
look         data set                         labels
============ ================================ ==========================================
``game``     GTA V (Playing for Data)         palette PNG, index = Cityscapes label id
``sim``      SYNTHIA-RAND-CITYSCAPES          16-bit PNG, red = class id, green = instance
``city``     Cityscapes                       gtFine label-id PNG and polygons JSON
``night``    Dark Zurich (night)              validation only: train-id, id and colour PNGs
``rio``      Cross-City (NTHU), Rio           validation only: label-id PNG of 13 classes
============ ================================ ==========================================
"""

import io
import json
from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np
from PIL import Image

from ..random import generator
from .labels import COLOURS, CROSS_CITY_13, IGNORE, SYNTHIA_IDS, TRAIN_IDS
from .looks import LAYOUTS
from .render import render
from .street import compose

FOLDERS = {
    'game': 'gta',
    'sim': 'synthia',
    'city': 'cityscapes',
    'night': 'dark_zurich',
    'rio': 'crosscity',
}
SPLITS = {
    'game': ('train',),
    'sim': ('train',),
    'city': ('train', 'val'),
    'night': ('train', 'val', 'test'),
    'rio': ('train', 'val'),
}
_SCENERY = {'rio': 'sim'}  # a city other than Cityscapes': other streets and colours
_LOOK_KEYS = {look: key for key, look in enumerate(FOLDERS)}
_SPLIT_KEYS = {'train': 0, 'val': 1, 'test': 2}
_CITIES = {
    'train': ('aachen', 'bochum', 'bremen', 'cologne', 'hamburg', 'jena', 'ulm', 'zurich'),
    'val': ('frankfurt', 'lindau', 'munster'),
}
_DRIVES = {'train': 'GOPR0001', 'val': 'GOPR0002', 'test': 'GOPR0003'}


class Sample:
    """One image with its labels and depth, each computed on first access."""

    def __init__(self, seed: int, look: str, split: str, index: int, size: tuple[int, int]) -> None:
        key = seed, _LOOK_KEYS[look], _SPLIT_KEYS[split], index
        self._look, self._render_key = _SCENERY.get(look, look), (*key, 1)
        self.scene = compose(generator(*key, 0), LAYOUTS[self._look], size)

    @cached_property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return render(self.scene, self._look, generator(*self._render_key))

    @cached_property
    def _label_map(self) -> np.ndarray:
        return self.scene.label_map()

    @cached_property
    def label_ids(self) -> np.ndarray:
        """(H, W) uint8 Cityscapes label ids."""
        return self.scene.label_ids(self._label_map)

    @property
    def instance_ids(self) -> np.ndarray:
        """(H, W) uint16 object numbers."""
        return self.scene.instance_ids(self._label_map)

    @property
    def depth(self) -> np.ndarray:
        """(H, W) uint8 inverse depth, scaled per image: 255 = nearest, 0 = farthest.

        The format of Depth Anything V2's maps, which CDDA reads.
        """
        inverse = self.scene.inverse_depth(self._label_map)
        low, high = inverse.min(), inverse.max()
        return np.rint(255 * (inverse - low) / (high - low)).astype(np.uint8)

    @property
    def polygons(self) -> dict:
        """Annotation in the format of Cityscapes' ``gtFine_polygons.json``."""
        height, width = self.scene.camera.size
        objects = [
            {'label': label, 'polygon': [list(point) for point in points]}
            for label, points in self.scene.polygons()
        ]
        return {'imgHeight': height, 'imgWidth': width, 'objects': objects}


def files(look: str, split: str, index: int) -> dict[str, Callable[[Sample], bytes]]:
    """Files of one image: path below the world's folder -> function that encodes a sample."""
    return {f'{FOLDERS[look]}/{path}': encode for path, encode in _FILES[look](split, index)}


def _gta(split: str, index: int):
    name = f'{index + 1:05d}.png'
    yield f'images/{name}', _image
    yield f'labels/{name}', _palette_labels
    yield f'depth_any/{name}', _depth


def _synthia(split: str, index: int):
    name = f'{index + 1:07d}.png'
    yield f'RGB/{name}', _image
    yield f'GT/LABELS/{name}', _synthia_labels
    yield f'depth_any/{name}', _depth


def _cityscapes(split: str, index: int):
    cities = _CITIES[split]
    city = cities[index % len(cities)]
    stem = f'{split}/{city}/{city}_{index // len(cities):06d}_000019'
    yield f'leftImg8bit/{stem}_leftImg8bit.png', _image
    yield f'gtFine/{stem}_gtFine_labelIds.png', lambda sample: _png(sample.label_ids)
    yield f'gtFine/{stem}_gtFine_polygons.json', lambda sample: _json(sample.polygons)
    yield f'depth_any/{stem}_depth.png', _depth


def _dark_zurich(split: str, index: int):
    drive = _DRIVES[split]
    stem = f'{split}/night/{drive}/{drive}_frame_{index + 1:06d}'
    yield f'rgb_anon/{stem}_rgb_anon.png', _image
    if split == 'val':  # the other labels of the real data set are not public
        yield f'gt/{stem}_gt_labelTrainIds.png', lambda s: _png(TRAIN_IDS[s.label_ids])
        yield f'gt/{stem}_gt_labelIds.png', lambda s: _png(s.label_ids)
        yield f'gt/{stem}_gt_labelColor.png', lambda s: _png(COLOURS[s.label_ids])


def _cross_city(split: str, index: int):
    if split == 'train':  # unlabelled, as in the real data set
        yield f'Rio/Images/Train/pano_{index + 1:05d}.jpg', _photo
    else:
        yield f'Rio/Images/Test/pano_{index + 1:05d}.jpg', _photo
        yield f'Rio/Labels/Test/pano_{index + 1:05d}_eval.png', _cross_city_labels


_FILES = {
    'game': _gta,
    'sim': _synthia,
    'city': _cityscapes,
    'night': _dark_zurich,
    'rio': _cross_city,
}


def _image(sample: Sample) -> bytes:
    return _png(sample.image)


def _photo(sample: Sample) -> bytes:
    done, data = cv2.imencode('.jpg', sample.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return data.tobytes()


def _cross_city_labels(sample: Sample) -> bytes:
    known = np.isin(TRAIN_IDS[sample.label_ids], CROSS_CITY_13)
    return _png(np.where(known, sample.label_ids, IGNORE).astype(np.uint8))


def _depth(sample: Sample) -> bytes:
    return _png(sample.depth)


def _palette_labels(sample: Sample) -> bytes:
    image = Image.fromarray(sample.label_ids).convert('L')
    image.putpalette(COLOURS.tobytes())
    file = io.BytesIO()
    image.save(file, 'PNG')
    return file.getvalue()


def _synthia_labels(sample: Sample) -> bytes:
    red = SYNTHIA_IDS[sample.label_ids].astype(np.uint16)
    return _png(np.stack([red, sample.instance_ids, np.zeros_like(red)], axis=-1))


def _png(pixels: np.ndarray) -> bytes:
    """Encode (H, W) grey or (H, W, 3) RGB pixels, uint8 or uint16, as PNG."""
    done, data = cv2.imencode('.png', pixels if pixels.ndim == 2 else pixels[..., ::-1])
    assert done
    return data.tobytes()


def _json(value: dict) -> bytes:
    return json.dumps(value).encode()
