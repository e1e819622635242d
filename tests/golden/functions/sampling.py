"""Sampling of images and crops for training."""

import itertools
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np

from mmseg_uda.datasets import transforms
from mmseg_uda.datasets.class_balanced_sampling import balanced_order
from mmseg_uda.datasets.rare_class_sampling import RareClassSampling, class_probabilities
from mmseg_uda.datasets.statistics import CLASS_STATS, SAMPLES_WITH_CLASS
from mmseg_uda.uda.components.class_balanced_crop import best_corners, crop_scores, cut
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('rare_class_probabilities')
def rare_classes(params: Params, inputs: Params) -> Results:
    stats, temperature = params['sample_class_stats'], float(params['temperature'])
    classes, probabilities = class_probabilities(stats, temperature)
    return {'classes': classes, 'probabilities': probabilities}


def sampler(stats: list[dict], samples_with_class: dict, **options) -> RareClassSampling:
    """Rare class sampling that reads these statistics files."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, CLASS_STATS).write_text(json.dumps(stats))
        Path(root, SAMPLES_WITH_CLASS).write_text(json.dumps(samples_with_class))
        return RareClassSampling(root, **options)


@golden('rare_class_files')
def files_of_classes(params: Params, inputs: Params) -> Results:
    sampling = sampler(
        params['sample_class_stats'],
        params['samples_with_class'].plain(),
        class_temp=params['temperature'],
        min_pixels=params['min_pixels'],
    )
    order = params['dataset_order']
    sampling.find_files(order)
    np.random.seed(0)
    for _ in range(1000):
        index, entries = sampling.draw(0, 0)
        assert order[index] in sampling.files[entries['rare_class'][0]]
    return {
        'classes': sampling.classes,
        'probabilities': sampling.probabilities,
        'files': {train_id: sampling.files[train_id] for train_id in sampling.classes},
        'file_to_index': {name: number for number, name in enumerate(order)}
        | {
            name: int(index)
            for train_id, names in sampling.files.items()
            for name, index in zip(names, sampling._indices[train_id], strict=True)
        },
    }


@golden('rare_class_draws')
def rare_class_draws(params: Params, inputs: Params) -> Results:
    """The k-th requested crop has (factor * k) mod modulus wanted pixels."""
    stats, modulus = params['sample_class_stats'], params['pixels_modulus']
    paths = [sample['file'] for sample in stats]
    samples_with_class: dict[str, list] = {}
    for sample in stats:
        for train_id in sample.keys() - {'file'}:
            listed = samples_with_class.setdefault(train_id, [])
            listed.append([sample['file'], sample[train_id]])
    sampling = sampler(
        stats,
        samples_with_class,
        class_temp=params['temperature'],
        min_pixels=params['min_pixels'],
        min_crop_ratio=params['min_crop_ratio'],
    )
    sampling.find_files(paths)

    sizes = (params['pixels_factor'] * k % modulus for k in itertools.count(1))
    cropping = transforms.LabelFirstCrop(scale=(1, 1), crop_size=(1, modulus))
    np.random.seed(params['numpy_seed'])
    draws = []
    for _ in range(params['draws']):
        index, entries = sampling.draw(0, 0)
        train_id, _ = entries['rare_class']
        target = np.random.randint(params['target_length'])
        label = np.full((1, modulus), train_id, np.uint8)
        with patch.object(
            transforms, 'random_crop_box', side_effect=lambda *_: (0, 1, 0, next(sizes))
        ) as box:
            cropping._choose_box(label, entries['rare_class'])
        draws.append([train_id, Path(paths[index]).name, target, box.call_count])
    return {'draws': draws}


@golden('random_crop')
def random_crops(params: Params, inputs: Params) -> Results:
    np.random.seed(params['numpy_seed'])
    options = params['crop_size'], params['cat_max_ratio']
    labels = inputs['labels']
    boxes = [transforms.random_crop_box(labels, *options) for _ in range(params['draws'])]
    return {'crops': [(y1, x1, y2 - y1, x2 - x1) for y1, y2, x1, x2 in boxes]}


@golden('class_balanced_crop')
def balanced_crop(params: Params, inputs: Params) -> Results:
    options = params['crop_size'], params['cat_max_ratio']
    labels, image = label_maps(inputs['labels'])[None], tensor(inputs['image'])
    _ = params['numpy_seed']  # created the candidates, which are an input
    boxes = tensor(inputs['candidates'])[None]  # (1, K, 4)
    corners = boxes[..., [0, 2]]
    corner = best_corners(labels, corners, *options)
    scores = crop_scores(labels, corners, *options)
    ((y, x),) = corner.tolist()
    height, width = params['crop_size']
    return {
        'box': (y, y + height, x, x + width),
        'scores': scores[0],
        'label_crop': cut(labels, corner, params['crop_size'])[0],
        'image_crop_mean': cut(
            image.permute(2, 0, 1)[None], corner[:, None], params['crop_size']
        ).mean(dim=(0, 2, 3)),
    }


@golden('plain_crop')
def plain_crop(params: Params, inputs: Params) -> Results:
    """Without choice: the crop of our data pipeline, which draws the candidates."""
    labels = inputs['labels'].astype(np.uint8)
    np.random.seed(params['numpy_seed'])
    with patch.object(transforms, '_draw_box', side_effect=transforms._draw_box) as draw:
        box = transforms.random_crop_box(labels, params['crop_size'], params['cat_max_ratio'])
    assert draw.call_count <= len(inputs['candidates'])
    y1, y2, x1, x2 = box
    return {
        'box': box,
        'label_crop': labels[y1:y2, x1:x2],
        'image_crop_mean': inputs['image'][y1:y2, x1:x2].mean(axis=(0, 1)),
    }


@golden('sampling_order')
def sampling_order(params: Params, inputs: Params) -> Results:
    presence, sub_epoch = inputs['presence'].astype(bool), params['sub_epoch']
    presence = presence[:, : params['num_classes']]
    length = (params['max_iters'] // sub_epoch + 1) * sub_epoch
    files = [np.flatnonzero(column) for column in presence.T]
    rng = np.random.RandomState(params['numpy_seed'])
    order = balanced_order(files, presence, length, rng, sub_epoch)
    return {'order': order, 'length': len(order)}
