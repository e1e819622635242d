"""SDCA: label tables, sampling, transforms, pseudo-labels, evaluation."""

import random
import re
import tempfile
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import RandomFlip, RandomGrayscale
from PIL import Image

from mmseg_uda.datasets import labels as tables
from mmseg_uda.datasets.class_balanced_sampling import SUB_EPOCH, balanced_order
from mmseg_uda.datasets.fixed_size import FixedResize, ScaleCrop, adjust_colour, blur_three
from mmseg_uda.datasets.segmentation import SYNTHIADataset
from mmseg_uda.datasets.statistics import count_classes
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.engine.pseudo_labelling import ConfidenceHistogram, confidence, select
from mmseg_uda.evaluation.metrics import confusion_matrix
from mmseg_uda.evaluation.scores import scores
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor

from ..cases import Case
from ..expressions import evaluate
from . import Results, family

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
