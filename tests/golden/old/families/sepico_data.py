"""What SePiCo shares with others, as its cases give it: augmentation, schedules, data, scores."""

import itertools
import json
import re
import tempfile
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch
from mmseg.datasets.transforms import RandomFlip
from PIL import Image
from torch import nn

from mmseg_uda.datasets import conversion, raw_labels, transforms
from mmseg_uda.datasets.labels import PALETTE
from mmseg_uda.datasets.rare_class_sampling import RareClassSampling, class_probabilities
from mmseg_uda.datasets.statistics import CLASS_STATS, SAMPLES_WITH_CLASS
from mmseg_uda.evaluation.export import output_names, write_label
from mmseg_uda.evaluation.metrics import confusion_matrix
from mmseg_uda.evaluation.scores import scores
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from mmseg_uda.uda import augmentation
from mmseg_uda.uda.teacher import Teacher

from ..cases import Case
from ..expressions import evaluate
from . import Results, family
from .functions import tensor
from .optim import rates_at


@family('sepico', 'blur')
def blurred(case: Case) -> Results:
    images = tensor(case.input('x'))
    sizes = case.outputs['kernel_size'].expected.item()
    return {
        'y': augmentation.gaussian_blur(images, [case.params['sigma']] * len(images)),
        'kernel_size': {side: augmentation.blur_kernel_size(int(side)) for side in sizes},
    }


@family('sepico', 'color_jitter')
def jittered(case: Case) -> Results:
    preprocessor = UDADataPreProcessor()
    mean, std = preprocessor.mean, preprocessor.std
    rgb = augmentation.denormalise(tensor(case.input('x')), mean, std)
    names = 'brightness', 'contrast', 'saturation', 'hue'
    factors = [case.params[f'{name}_factor'] for name in names]
    calls = [augmentation.Jitter(*factors, order=order) for order in case.params['orders']]
    images = [augmentation.color_jitter(rgb, call) for call in calls]
    return {'y': torch.stack([augmentation.normalise(image, mean, std) for image in images])}


@family('sepico', 'lr_')
def learning_rates(case: Case) -> Results:
    base, wanted = case.params['base_lr'], case.outputs['iters'].expected.tolist()
    return {'iters': wanted, 'lr': rates_at(wanted, [base, 10 * base], case.params)}


@family('sepico', 'ema_alpha')
def teacher_momenta(case: Case) -> Results:
    """How much of itself a teacher of value 1 keeps when the student has the value 0."""
    student = nn.Linear(1, 1).double()
    nn.init.zeros_(student.weight)
    teacher = Teacher(student, case.params['alpha'])
    iterations, momenta = case.outputs['iters'].expected.tolist(), []
    for iteration in iterations:
        nn.init.ones_(teacher.network.weight)
        teacher.update(student, iteration)
        momenta.append(teacher.network.weight.item())
    return {'iters': iterations, 'alpha': momenta}


@family('sepico', 'rcs_T')
def class_sampling(case: Case) -> Results:
    stats, temperature = case.inputs['sample_class_stats'], case.params['class_temp']
    return dict(zip(('classes', 'prob'), class_probabilities(stats, temperature), strict=True))


@family('sepico', 'rcs_draws')
def file_sampling(case: Case) -> Results:
    """The crop that is returned at the k-th request has (a k) mod b pixels of the class."""
    params, stats = case.params, case.inputs['sample_class_stats']
    paths = [sample['file'] for sample in stats]
    with tempfile.TemporaryDirectory() as root:
        Path(root, CLASS_STATS).write_text(json.dumps(stats))
        Path(root, SAMPLES_WITH_CLASS).write_text(json.dumps(samples_with_class(stats)))
        sampling = RareClassSampling(
            root, params['class_temp'], params['min_pixels'], params['min_crop_ratio']
        )
    sampling.find_files(paths)

    factor, modulus = map(int, re.search(r'\((\d+) k\) mod (\d+)', case.text).groups())
    requests = itertools.count(1)
    crop = transforms.LabelFirstCrop(scale=(1, 1), crop_size=(1, modulus))
    np.random.seed(params['numpy_seed'])
    draws = []
    for _ in range(len(case.outputs['draws'].expected)):
        train_id, index = sampling.draw()
        target = np.random.randint(params['target_len'])
        boxes = []

        def box(*_, boxes=boxes) -> tuple:
            boxes.append((0, 1, 0, factor * next(requests) % modulus))
            return boxes[-1]

        with patch.object(transforms, 'random_crop_box', box):
            label = np.full((1, modulus), train_id, np.uint8)
            crop._choose_box(label, (train_id, sampling.min_crop_pixels))
        draws.append([train_id, Path(paths[index]).name, target, len(boxes)])
    return {'draws': draws}


def samples_with_class(stats: list[dict]) -> dict[str, list]:
    listed: dict[str, list] = {}
    for sample in stats:
        for train_id in sample.keys() - {'file'}:
            listed.setdefault(train_id, []).append([sample['file'], sample[train_id]])
    return listed


@family('sepico', 'gta_convert')
def converted_labels(case: Case) -> Results:
    with tempfile.TemporaryDirectory() as root:
        Path(root, 'labels').mkdir()
        for number, name in enumerate(case.inputs):
            image = Image.fromarray(case.input(name).astype(np.uint8)).convert('L')
            image.putpalette([channel for value in range(256) for channel in (value, 0, 0)])
            image.save(Path(root, 'labels', f'{number:05d}.png'))
        conversion.convert_label_images(raw_labels.GTA, root, 'labels', nproc=1)
        results = {
            path.stem: json.loads(path.read_text().replace(f'{root}/', ''))
            for path in Path(root).glob('*.json')
        }
        labels = sorted(Path(root).rglob(f'*{conversion.CONVERTED}'))
        for number, path in enumerate(labels):
            results[f'train_ids_{number}'] = np.array(Image.open(path))
    for name, output in case.outputs.items():
        if name not in results and output.expected.ndim == 3:
            results[name] = np.stack([results[f'train_ids_{n}'] for n in range(len(labels))])
    return results


@family('sepico', 'miou')
def scored(case: Case) -> Results:
    total = 0
    for number in range(sum(name.startswith('pred_') for name in case.inputs)):
        label = case.input(f'label_{number}')
        prediction = prediction_in_words(case, f'pred_{number}', label)
        classes = len(case.outputs['IoU'].expected)
        total += confusion_matrix(torch.as_tensor(prediction), torch.as_tensor(label), classes)
    result = scores(total)
    summary = {'aAcc': result.aacc, 'IoU': result.miou, 'Acc': result.macc}
    return {
        'IoU': result.iou,
        'Acc': result.acc,
        'aAcc': result.aacc,
        'summary_percent': {name: round(100 * float(v), 2) for name, v in summary.items()},
    }


def prediction_in_words(case: Case, name: str, label: np.ndarray) -> np.ndarray:
    """``replaced by the label where <noise> > a and label != 255; then values > b become c``."""
    entry = case.inputs[name]
    words = re.match(
        r'replaced by the label where fill\.image\(([\w.]+), (\(.*?\)), (\d+)\) > ([-\d.]+) and '
        r'label != (\d+); then values > (\d+) become (\d+)',
        entry['then'],
    )
    noise_name, shape, seed, limit, ignore, largest, value = words.groups()
    plain = ', '.join(f'{k}={v!r}' for k, v in entry.items() if k not in ('fill', 'then'))
    prediction = evaluate(f'fill.labels({plain})')
    noise = evaluate(f'fill.image({noise_name!r}, {shape}, {seed})')
    prediction = np.where((noise > float(limit)) & (label != int(ignore)), label, prediction)
    return np.where(prediction > int(largest), int(value), prediction)


@family('sepico', 'pipeline')
def loaded_sample(case: Case) -> Results:
    params, drawn = case.params, []
    draw = transforms._draw_box

    def recording(*arguments) -> tuple:
        drawn.append(draw(*arguments))
        return drawn[-1]

    with tempfile.TemporaryDirectory() as folder:
        paths = dict(img_path=f'{folder}/image.png', seg_map_path=f'{folder}/label.png')
        for name, path in zip(('img', 'label'), paths.values(), strict=True):
            cv2.imwrite(path, case.input(name).astype(np.uint8))
        crop = transforms.LabelFirstCrop(
            params['img_scale'], params['crop_size'], params['cat_max_ratio']
        )
        np.random.seed(params['numpy_seed'])
        with patch.object(transforms, '_draw_box', recording):
            sample = crop(dict(paths, seg_fields=[], reduce_zero_label=False))
    if params['crop_size'] is None:  # there is one box; it takes no draw in the published code
        drawn.clear()
        np.random.seed(params['numpy_seed'])
    flip = bool(np.random.rand() < params['flip_prob'])
    sample = transforms.PackDomain()(RandomFlip(prob=float(flip), direction='horizontal')(sample))
    domain = {name: value[None] for name, value in sample.items() if name != 'path'}
    source = UDADataPreProcessor()({'source': domain}, training=True).source
    return {
        'flip': flip,
        'boxes_drawn': drawn,
        'img': source.images[0],
        'label': source.labels[0],
    }


@family('sepico', 'resize_shapes')
def resized_shapes(case: Case) -> Results:
    sizes = {}
    for text in case.outputs['size'].expected.item():
        (height, width), scale = (tuple(map(int, s.split('x'))) for s in text.split(' -> '))
        sizes[text] = transforms.rescale_size((width, height), scale)[::-1]
    return {'size': sizes}


@family('sepico', 'format_only')
def exported_labels(case: Case) -> Results:
    names = [f'{Path(name).name}.png' for name in output_names(case.inputs['files'])]
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            label = case.input(f'pred_{number}').astype(np.uint8)
            write_label(f'{folder}/{name}', label, PALETTE)
        images = [Image.open(Path(folder, name)) for name in names]
        colours = np.reshape(images[0].getpalette()[: 3 * len(PALETTE)], (-1, 3))
        return {
            'names': names,
            'mode': [image.mode for image in images],
            'values': [np.array(image) for image in images],
            'palette_first_19': colours,
        }
