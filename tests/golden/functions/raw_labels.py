"""Label tables, and the conversion of raw labels by the command lines."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_uda.cli import convert as convert_command
from mmseg_uda.datasets import labels
from mmseg_uda.datasets.segmentation import SYNTHIADataset
from mmseg_uda.datasets.statistics import (
    CLASS_STATS,
    CLASS_STATS_BY_FILE,
    SAMPLES_WITH_CLASS,
    count_classes,
)
from mmseg_uda.evaluation.export import output_names, to_label_ids, write_label
from tests.golden.registry import Params, Results, golden

ROOT = '<root>'  # placeholder in the expected values for the data folder of the command line
CONVERTED = '_labelTrainIds.png'
STATISTICS = CLASS_STATS, CLASS_STATS_BY_FILE, SAMPLES_WITH_CLASS
TABLES = {
    'gta': labels.GTA_TO_TRAIN,
    'synthia': labels.SYNTHIA_TO_TRAIN,
    'mapillary': labels.MAPILLARY_TO_TRAIN,
    'cityscapes': labels.CITYSCAPES_TO_TRAIN,
}
SKY = labels.CLASSES.index('sky')
PUBLISHED_SKY = (0, 130, 180)  # ours is Cityscapes' blue


def lookup(table: dict[int, int], raw: np.ndarray) -> np.ndarray:
    """Ids mapped by a table; ids missing in it become ignore."""
    return np.vectorize(lambda label_id: table.get(int(label_id), labels.IGNORE))(raw)


@golden('convert_labels')
def convert_label_images(params: Params, inputs: Params) -> Results:
    dataset, files = params['dataset'], params['files']
    with tempfile.TemporaryDirectory() as root:
        for file, pixels in zip(files, inputs['raw'], strict=True):
            write_png(Path(root, file), pixels)
        convert(dataset, root, '--gt-dir', params['label_dir'])
        converted = [read(Path(root, file.removesuffix('.png') + CONVERTED)) for file in files]
        statistics = read_statistics(root)
    return {'converted': converted, 'statistics': statistics, 'mapping': TABLES[dataset]}


@golden('convert_polygons')
def convert_polygons(params: Params, inputs: Params) -> Results:
    with tempfile.TemporaryDirectory() as root:
        for file, annotation in params['polygon_files'].plain().items():
            path = Path(root, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(annotation))
        convert(params['dataset'], root)
        converted = {
            path.name.removesuffix(f'_gtFine{CONVERTED}'): read(path)
            for path in Path(root).rglob(f'*{CONVERTED}')
        }
        splits = {
            name: Path(root, f'{name}.txt').read_text().split() for name in ('train', 'val', 'test')
        }
        statistics = read_statistics(root)
    return {
        'converted': converted,
        'statistics': statistics,
        'splits': splits,
        'mapping': {
            name: [number, labels.CITYSCAPES_TO_TRAIN[number]]
            for name, number in labels.CITYSCAPES_NAMES.items()
        },
    }


def convert(dataset: str, *arguments: str) -> None:
    convert_command.main([dataset, *arguments, '--nproc', '1'])


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Ids as a palette image, or as 16 bits per channel for RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        cv2.imwrite(str(path), pixels[..., ::-1].astype(np.uint16))
        return
    image = Image.fromarray(pixels.astype(np.uint8)).convert('L')
    image.putpalette([channel for value in range(256) for channel in (value, 0, 255 - value)])
    image.save(path)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == 'L', f'{path.name} is not an 8-bit grey image'
        return np.array(image)


def read_statistics(root: str) -> dict:
    """The written JSON files, with the data folder's path replaced by the placeholder."""
    return {
        Path(file).stem: json.loads(Path(root, file).read_text().replace(root, ROOT))
        for file in STATISTICS
    }


@golden('label_tables')
def label_tables(params: Params, inputs: Params) -> Results:
    raw = inputs['raw']
    to_16 = SYNTHIADataset.get_label_map([labels.CLASSES[i] for i in labels.SYNTHIA_16])
    cityscapes = lookup(labels.CITYSCAPES_TO_TRAIN, raw)
    return {
        'gtav19': lookup(labels.GTA_TO_TRAIN, raw),
        'cityscapes19': cityscapes,
        'cityscapes16': lookup(to_16, cityscapes),
        'synthia16': lookup(to_16, lookup(labels.SYNTHIA_TO_TRAIN, raw)),
        # our reader refuses all values except these and 255
        'pseudo19': np.where(raw < 19, raw, labels.IGNORE),
        'pseudo16': np.where(raw < 16, raw, labels.IGNORE),
    }


@golden('label_statistics')
def label_statistics(params: Params, inputs: Params) -> Results:
    table = TABLES[params['dataset']]
    train_ids = [lookup(table, raw).astype(np.uint8) for raw in inputs['raw']]
    return {'presence': np.array([np.array(count_classes(image)) > 0 for image in train_ids])}


@golden('synthia_to_cityscapes')
def colours_of_16(params: Params, inputs: Params) -> Results:
    known = dict(enumerate(labels.SYNTHIA_16))
    return {'labels': lookup(known, inputs['labels'])}


@golden('palette')
def palette(params: Params, inputs: Params) -> Results:
    colours = np.array(labels.PALETTE)
    assert tuple(colours[SKY]) == (70, 130, 180)
    colours[SKY] = PUBLISHED_SKY
    return {'palette': colours}


@golden('export_labels')
def exported_labels(params: Params, inputs: Params) -> Results:
    names = [f'{Path(name).name}.png' for name in output_names(params['files'])]
    with tempfile.TemporaryDirectory() as folder:
        for name, label in zip(names, inputs['predictions'], strict=True):
            write_label(f'{folder}/{name}', label.astype(np.uint8), labels.PALETTE)
        images = [Image.open(Path(folder, name)) for name in names]
        return {
            'names': names,
            'modes': [image.mode for image in images],
            'values': [np.array(image) for image in images],
            'palette': np.reshape(images[0].getpalette()[: 3 * len(labels.PALETTE)], (-1, 3)),
        }


@golden('label_ids')
def label_ids(params: Params, inputs: Params) -> Results:
    """Train ids that are no class have no label id here; the published writer makes them 0."""
    train_ids = inputs['train_ids']
    known, written = train_ids < len(labels.CLASSES), np.zeros(train_ids.shape, np.uint8)
    written[known] = to_label_ids(train_ids[known])
    raw = {name: inputs[f'raw.{name}'] for name in ('cityscapes', 'gta', 'synthia')}
    results = {f'train_ids.{name}': lookup(TABLES[name], ids) for name, ids in raw.items()}
    return results | {'label_ids': written}
