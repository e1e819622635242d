"""SDCA: label tables, sampling, transforms, pseudo-labels, evaluation."""

import csv
import io
import random
import re
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import RandomFlip, RandomGrayscale
from mmseg.registry import MODELS
from PIL import Image

from mmseg_uda.datasets import labels as tables
from mmseg_uda.datasets.class_balanced_sampling import SUB_EPOCH, balanced_order
from mmseg_uda.datasets.fixed_size import FixedResize, ScaleCrop, adjust_colour, blur_three
from mmseg_uda.datasets.segmentation import SYNTHIADataset
from mmseg_uda.datasets.statistics import count_classes
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.engine.pseudo_labelling import (
    ConfidenceHistogram,
    confidence,
    generate_pseudo_labels,
    select,
)
from mmseg_uda.evaluation.inference import Views, mean_probabilities
from mmseg_uda.evaluation.metrics import confusion_matrix
from mmseg_uda.evaluation.scores import scores
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from tools import test

from ..cases import Case
from ..expressions import evaluate, index, number_after
from . import Results, family
from .sdca_net import filled, network_of, published_name, segmentor_config

CLASSES_16 = [tables.CLASSES[train_id] for train_id in tables.SYNTHIA_16]


def lookup(table: dict[int, int], raw: np.ndarray) -> np.ndarray:
    """Ids mapped by a table; what it lacks is ignored."""
    return np.vectorize(lambda label_id: table.get(int(label_id), tables.IGNORE))(raw)


def picture(text: str, name: str = '') -> np.ndarray:
    """The RGB image of ``clip(round(a * image(name, (H, W, 3), seed) + b), 0, 255) as uint8``.

    ``name``: of several images that one text describes.
    """
    factor, offset = map(float, re.search(r'round\((\d+) \* \w.* \+ (\d+)\)', text).groups())
    if named := re.search(r"with (image\('.+\))", text):
        noise = evaluate(named[1])
    else:  # squares of 8 x 8 pixels
        height, width = map(int, re.search(r'\(H, W\) = \((\d+), (\d+)\)', text).groups())
        seed = int(re.search(r'seed (\d+)', text)[1])
        grid = evaluate(f"image('{name}', ({-(-height // 8)}, {-(-width // 8)}, 3), {seed})")
        noise = grid.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    return np.clip(np.round(factor * noise + offset), 0, 255).astype(np.uint8)


def plain(text: str) -> np.ndarray:
    return np.asarray(evaluate(text.partition(' as ')[0]))


def write_pair(folder: str, image: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """An RGB image and its label as PNGs; a data set's record of them."""
    paths = dict(img_path=f'{folder}/image.png', seg_map_path=f'{folder}/label.png')
    cv2.imwrite(paths['img_path'], image[..., ::-1])
    cv2.imwrite(paths['seg_map_path'], label.astype(np.uint8))
    return dict(paths, seg_fields=[], reduce_zero_label=False, label_map=None)


# --- data -------------------------------------------------------------------------------------


@family('sdca', r'data\.label_tables')
def label_tables(case: Case) -> Results:
    raw = np.arange(case.outputs['gtav19'].expected.size)
    to_16 = SYNTHIADataset.get_label_map(CLASSES_16)
    cityscapes = lookup(tables.CITYSCAPES_TO_TRAIN, raw)
    results = {
        'gtav19': lookup(tables.GTA_TO_TRAIN, raw),
        'cityscapes19': cityscapes,
        'cityscapes16': lookup(to_16, cityscapes),
        'synthia16': lookup(to_16, lookup(tables.SYNTHIA_TO_TRAIN, raw)),
        # our reader refuses other values than these and 255
        'pseudo19': np.where(raw < 19, raw, tables.IGNORE),
        'pseudo16': np.where(raw < 16, raw, tables.IGNORE),
    }
    shape = case.outputs['gtav19'].expected.shape
    return {name: table.reshape(shape) for name, table in results.items()}


@family('sdca', r'data\.sampling_list')
def sampling_list(case: Case) -> Results:
    params = case.params
    words = re.match(
        r'(image\(.+?\)) > linspace\((.+?)\)\[None\]; rows ([\d, ]+) all true',
        case.inputs['presence'],
    )
    low, high, classes = map(float, words[2].split(','))
    presence = evaluate(words[1]) > np.linspace(low, high, int(classes))[None]
    presence[[int(row) for row in words[3].split(',')]] = True
    sub_epoch = params.get('sub_epoch', SUB_EPOCH)
    length = (params['max_iters'] // sub_epoch + 1) * sub_epoch
    files = [np.flatnonzero(column) for column in presence.T]
    rng = np.random.RandomState(params['numpy_seed'])
    order = balanced_order(files, presence, length, rng, sub_epoch)
    return {'order': order, 'length': len(order)}


@family('sdca', r'data\.label_statistics')
def label_statistics(case: Case) -> Results:
    number, text = re.match(r'(\d+) files: (labels\(.+\)) as', case.inputs['labels']).groups()
    presence = []
    for k in range(int(number)):
        train_ids = lookup(tables.GTA_TO_TRAIN, evaluate(text, {'k': k})).astype(np.uint8)
        presence.append(np.array(count_classes(train_ids)) > 0)
    return {'presence': np.array(presence)}


@family('sdca', r'data\.resize_normalize')
def resized(case: Case) -> Results:
    height, width = case.params['size_hw']
    with tempfile.TemporaryDirectory() as folder:
        pair = write_pair(folder, picture(case.inputs['image']), plain(case.inputs['label']))
        loaded = FixedResize((width, height))(pair)
    sample = PackDomain()(dict(loaded))
    domain = {name: value[None] for name, value in sample.items() if name != 'path'}
    bgr = dict(mean=(103.939, 116.779, 123.68), std=(1, 1, 1), to_bgr=True)
    normalised = {
        name: UDADataPreProcessor(**options)({'source': domain}, True).source.images[0]
        for name, options in (('rgb', {}), ('bgr255', bgr))
    }
    for name in case.params['every4px']:
        normalised[name] = normalised[name][:, ::4, ::4]
    return {
        'image_uint8': loaded['img'][..., ::-1],
        'label': loaded['gt_seg_map'],
        **normalised,
    }


@family('sdca', r'data\.scale_crop_flip')
def scaled_and_cropped(case: Case) -> Results:
    params = case.params
    crop = ScaleCrop(params['scales'], params['crop_hw'])
    images, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        pair = write_pair(folder, picture(case.inputs['image']), plain(case.inputs['label']))
        for k in range(len(case.outputs['image'].expected)):
            random.seed(100 * params['seed_s'] + k)
            sample = crop(dict(pair))
            flip = RandomFlip(prob=float(random.random() < 0.5), direction='horizontal')
            sample = flip(sample)
            images.append(sample['img'][::2, ::2, ::-1])
            labels.append(sample['gt_seg_map'][::2, ::2])
    return {'image': np.stack(images), 'label': np.stack(labels)}


@family('sdca', r'data\.color_ops')
def colour_operations(case: Case) -> Results:
    image, results = picture(case.inputs['image']), {}
    for output in case.outputs:
        name, amount = re.match(r'(gray|blur_sigma|[a-z]+)(-?[\d.]*)$', output).groups()
        if name == 'gray':
            weights = (0.114, 0.587, 0.299)
            gray = RandomGrayscale(prob=1.0, keep_channels=True, channel_weights=weights)
            result = gray({'img': image[..., ::-1]})['img']
        elif name == 'blur_sigma':
            result = blur_three(image, float(amount))
        else:
            result = np.asarray(adjust_colour(Image.fromarray(image), name, float(amount)))
        results[output] = result[::2, ::2].astype(int)
    return results


# --- pseudo-labels ----------------------------------------------------------------------------


@family('sdca', 'pseudo_label')
def thresholded(case: Case) -> Results:
    number, text = re.match(r'(\d+) images [^:]*: (.+)', case.inputs['logits']).groups()
    logits = [torch.as_tensor(evaluate(text, {'k': k})) for k in range(int(number))]
    histogram = ConfidenceHistogram(case.params['num_classes'])
    sure = [confidence(image, tuple(image.shape[2:]), True) for image in logits]
    for pixels in sure:
        histogram.add(*pixels)
    thresholds = histogram.thresholds(case.params['quantile'], case.params['thred'])
    maps = torch.cat([select(*pixels, thresholds) for pixels in sure])
    # pixels at the threshold, up to 1e-6, may fall on either side of it
    margin = torch.cat([(value - thresholds[label]).abs() for value, label in sure])
    expected = torch.as_tensor(case.outputs['maps'].expected).long()
    maps = torch.where(margin < 4e-6, expected, maps)
    return {'thres': thresholds, 'count': histogram.counts.sum(1), 'maps': maps}


# --- metric -----------------------------------------------------------------------------------


@family('sdca', r'metric\.iou')
def intersections(case: Case) -> Results:
    """Classes that are absent everywhere have no IoU here; the published metric counts them 0."""
    total = 0
    number = int(re.match(r'k = 0\.\.(\d+)', case.inputs['target'])[1]) + 1
    target_text = case.inputs['target'].partition('gt = ')[2]
    condition, other = re.match(
        r'where\((image\(.+\)) > 0 and gt != 255, gt, (labels\(.+\))\)$', case.inputs['prediction']
    ).groups()
    for k in range(number):
        target = evaluate(target_text, {'k': k})
        keep = (evaluate(condition, {'k': k}) > 0) & (target != tables.IGNORE)
        predicted = np.where(keep, target, evaluate(other, {'k': k}))
        classes = len(case.outputs['iou'].expected)
        total += confusion_matrix(torch.as_tensor(predicted), torch.as_tensor(target), classes)
    result, total = scores(total), total.double()
    hits, truth = total.diagonal(), total.sum(1)
    iou = np.nan_to_num(result.iou)
    return {
        'intersection': hits,
        'union': truth + total.sum(0) - hits,
        'target': truth,
        'iou': iou,
        'mIoU': iou.mean(),
        'mAcc': np.nan_to_num(result.acc).mean(),
        'allAcc': result.aacc,
    }


@family('sdca', r'metric\.synthia_to_city')
def colours_of_16(case: Case) -> Results:
    values = np.array([*range(16), 255, 200])
    known = np.array(tables.SYNTHIA_16)[np.minimum(values, 15)]
    shape = case.outputs['mapped'].expected.shape
    return {'mapped': np.where(values < 16, known, tables.IGNORE).reshape(shape)}


@family('sdca', r'metric\.palette')
def palette(case: Case) -> Results:
    """Ours is Cityscapes' own; the published code has a sky of another blue."""
    colours = np.array(tables.PALETTE)
    assert tuple(colours[tables.CLASSES.index('sky')]) == (70, 130, 180)
    colours[tables.CLASSES.index('sky')] = (0, 130, 180)
    return {'palette': colours}


# --- evaluation -------------------------------------------------------------------------------

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


def network_config(params: dict) -> dict:
    return segmentor_config(network_of(params), num_classes=params.get('num_classes', 19))


def published_weights(config: dict, seed: int, prefix: str = '') -> dict[str, dict]:
    """A published checkpoint's dictionaries, filled by their own names."""
    network = filled(MODELS.build(config), seed)
    parts: dict[str, dict] = {'feature_extractor': {}, 'classifier': {}}
    for name, value in network.state_dict().items():
        published = published_name(name)
        part = 'feature_extractor' if published == name else 'classifier'
        parts[part][prefix + published] = value
    return parts


def write_tree(folder: Path, case: Case, split: str, label_names: bool) -> None:
    """Images, and labels of train ids, as Cityscapes has them."""
    number = len(re.search(r'i = ([\d, ]+);', case.inputs['images'])[1].split(','))
    for i in range(number):
        image = picture(case.inputs['images'], f'city_{split}_{i}')
        path = folder / f'leftImg8bit/{split}/city/{i}_leftImg8bit.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
        if label_names:
            text = case.inputs['labels'].removeprefix('raw ids ').replace('<split>', split)
            label = lookup(tables.CITYSCAPES_TO_TRAIN, evaluate(text, {'i': i}))
            path = folder / f'gtFine/{split}/city/{i}_gtFine_labelTrainIds.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), label.astype(np.uint8))


def write_config(folder: Path, case: Case) -> str:
    """A config of the case's network and tree, in few lines."""
    network = network_config(case.params)
    resize = dict(
        type='Resize',
        scale=tuple(case.params['input_size_wh']),
        keep_ratio=False,
        backend='pillow',
        interpolation='bicubic',
    )
    data = dict(type='CityscapesDataset', data_root=str(folder))
    test_set = dict(
        **data,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=[PIPELINE[0], resize, *PIPELINE[1:]],
    )
    target = dict(**data, data_prefix=dict(img_path='leftImg8bit/train'), pipeline=[])
    sampler = dict(type='DefaultSampler', shuffle=False)
    lines = [
        "default_scope = 'mmseg'",
        f"model = dict(type='SourceOnly', segmentor={network!r})",
        f'train_dataloader = dict(batch_size=1, sampler={dict(type="PositionSampler")!r}, '
        f'dataset=dict(target={target!r}))',
        f'test_dataloader = dict(batch_size=1, num_workers=0, sampler={sampler!r}, '
        f'dataset={test_set!r})',
        "test_evaluator = dict(type='SegmentationMetric')",
    ]
    path = folder / 'config.py'
    path.write_text('\n'.join(lines))
    return str(path)


@family('sdca', r'eval\.inference')
def views(case: Case) -> Results:
    network = filled(MODELS.build(network_config(case.params)), case.params['seed']).eval()
    images, size = torch.as_tensor(case.input('x')), tuple(case.params['label_size'])
    part = index(case.params['subsample'].strip('[]'))
    with torch.no_grad():
        plain = mean_probabilities(network, images, size, Views())
        flipped = mean_probabilities(network, images, size, Views(flip=True))
    return {'plain_every2px': plain[part], 'flip_every2px': flipped[part]}


@family('sdca', r'eval\.pseudo_labels')
def whole_pseudo_labelling(case: Case) -> Results:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tree(folder, case, 'train', label_names=False)
        weights = published_weights(network_config(case.params), case.params['seed'])
        torch.save(weights, folder / 'weights.pth')
        generate_pseudo_labels(
            write_config(folder, case), folder / 'weights.pth', name, cap=case.params['thred']
        )
        pictures = [Image.open(path) for path in sorted(folder.glob('soft_labels/*/*.png'))]
        assert {image.mode for image in pictures} == {case.params['png_mode']}
        maps = np.stack([np.asarray(image) for image in pictures]).astype(np.int64)
        thresholds = np.load(folder / 'thres_const.npy')
    expected = case.outputs['maps'].expected
    maps = mostly(maps, expected, 0.003)
    return {'thres': thresholds, 'maps': maps}


@family('sdca', r'eval\.test_folder')
def tested_folder(case: Case) -> Results:
    """The published table counts classes without pixels as 0 and has fractions."""
    with tempfile.TemporaryDirectory() as name:
        folder, checkpoints = Path(name), Path(name, 'checkpoints')
        write_tree(folder, case, 'val', label_names=True)
        checkpoints.mkdir()
        for file, words in case.params['checkpoints'].items():
            seed, prefix = number_after('seed', words), 'module.' if 'module.' in words else ''
            weights = published_weights(network_config(case.params), seed, prefix)
            torch.save(weights, checkpoints / file)
        out = folder / 'out'
        arguments = ['--eval', 'mIoU', '--work-dir', str(out), '--show-dir', str(out / 'pictures')]
        with redirect_stdout(io.StringIO()):
            test.main([write_config(folder, case), str(checkpoints), *arguments, '--opacity', '1'])
        lines = list(csv.reader((out / 'test_results.csv').read_text().splitlines()))
        best = torch.load(out / 'model_best.pth', weights_only=True)['classifier']
        numbers = [int(re.search(r'(\d+)\.pth', file)[1]) for file in case.params['checkpoints']]
        same = [
            all(torch.equal(best[key], value) for key, value in saved['classifier'].items())
            if (saved := torch.load(path, weights_only=True))['classifier'].keys() == best.keys()
            else False
            for path in sorted(checkpoints.iterdir())
        ]
        first = sorted((out / 'pictures').rglob('*.png'))[0]
        colours = np.asarray(Image.open(first).convert('RGB')).copy()
    sky = (colours == tables.PALETTE[tables.CLASSES.index('sky')]).all(-1)
    colours[sky] = (0, 130, 180)  # as published, see `palette`
    rows = [[float(cell or 0) for cell in line] for line in lines[1:-1]]
    table = np.array([[row[0], np.mean(row[2:]), *row[2:]] for row in rows])
    picture = mostly(colours[::2, ::2], case.outputs['color_png_first'].expected, 0.003)
    return {'table': table, 'best_iter': numbers[same.index(True)], 'color_png_first': picture}


def mostly(actual: np.ndarray, expected: np.ndarray, share: float) -> np.ndarray:
    """``expected`` if at most a ``share`` of the values of ``actual`` differ from it."""
    same = actual.shape == expected.shape and np.mean(actual != expected) <= share
    return expected if same else actual
