"""Conversion of raw labels by the command lines: converted files, statistics, lists of splits."""

import json
import tempfile
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_uda.datasets import labels

from ..cases import Case
from ..expressions import number_after
from . import Results, family

ROOT = '<root>'  # what the cases write for the data folder given on the command line
CONVERTED = '_labelTrainIds.png'
TABLES = {
    'gta': labels.GTA_TO_TRAIN,
    'synthia': labels.SYNTHIA_TO_TRAIN,
    'mapillary': labels.MAPILLARY_TO_TRAIN,
}


@family('daformer', 'convert_gta', 'convert_synthia', 'convert_mapillary')
def label_images(case: Case) -> Results:
    params, dataset = case.params, case.name.split('_')[1]
    with tempfile.TemporaryDirectory() as root:
        for number, file in enumerate(params['files']):
            path = Path(root, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            ids = case.input(f'label_{number}')
            if dataset == 'synthia':
                _write_colour_png(path, ids, number_after('mod', case.text))
            else:
                _write_palette_png(path, ids)
        _convert(dataset, root, '--gt-dir', params['label_dir'])
        converted = [
            _read(Path(root, file.removesuffix('.png') + CONVERTED)) for file in params['files']
        ]
        statistics = _statistics(root, params['json_files'])
    return {
        **{f'converted_{number}': label for number, label in enumerate(converted)},
        'params.json_files': statistics,
        'params.mapping': {key: TABLES[dataset][int(key)] for key in params.get('mapping', ())},
    }


@family('daformer', 'convert_cityscapes')
def polygons(case: Case) -> Results:
    params = case.params
    with tempfile.TemporaryDirectory() as root:
        for file, annotation in params['polygon_files'].items():
            path = Path(root, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(annotation))
        _convert('cityscapes', root)
        results = {
            path.name.removesuffix(f'_gtFine{CONVERTED}'): _read(path)
            for path in Path(root).rglob(f'*{CONVERTED}')
        }
        results['params.json_files'] = _statistics(root, params['json_files'])
        results['params.split_files'] = {
            name: Path(root, name).read_text().split() for name in params.get('split_files', ())
        }
    ids = {name: labels.CITYSCAPES_NAMES[name] for name in params.get('mapping', ())}
    results['params.mapping'] = {
        name: [number, labels.CITYSCAPES_TO_TRAIN[number]] for name, number in ids.items()
    }
    return results


def _convert(dataset: str, *arguments: str) -> None:
    import_module(f'tools.convert_datasets.{dataset}').main([*arguments, '--nproc', '1'])


def _write_palette_png(path: Path, ids: np.ndarray) -> None:
    image = Image.fromarray(ids.astype(np.uint8)).convert('L')
    image.putpalette([channel for value in range(256) for channel in (value, 0, 255 - value)])
    image.save(path)


def _write_colour_png(path: Path, ids: np.ndarray, instances: int) -> None:
    """16 bits a channel: the id in red, the pixel's number modulo ``instances`` in green."""
    pixels = np.zeros((*ids.shape, 3), np.uint16)
    pixels[..., 1] = np.arange(ids.size).reshape(ids.shape) % instances
    pixels[..., 2] = ids  # OpenCV's order is blue, green, red
    cv2.imwrite(str(path), pixels)


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == 'L', f'{path.name} is not an 8-bit grey image'
        return np.array(image)


def _statistics(root: str, files: dict) -> dict:
    """The written JSON files, with the data folder's path replaced as the cases have it."""
    return {name: json.loads(Path(root, name).read_text().replace(root, ROOT)) for name in files}
