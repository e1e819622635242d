"""Pieces of a self-training step: mixing, augmentation, pseudo-labels, losses, the teacher."""

import re

import numpy as np
import torch
from torch import Tensor, nn

from mmseg_uda.models.losses import segmentation_loss
from mmseg_uda.uda import augmentation
from mmseg_uda.uda.class_mix import LABEL_VALUES, choose_classes, class_mask, label_presence, mix
from mmseg_uda.uda.feature_distance import feature_distance, reduce_labels
from mmseg_uda.uda.pseudo_labels import ignore_margins, pseudo_labels
from mmseg_uda.uda.teacher import Teacher

from ..cases import Case
from ..compare import as_array
from ..expressions import evaluate, number_after
from ..fill import fill_array, fill_state_dict
from . import Results, family


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, order='C'))


def label_maps(array: np.ndarray) -> Tensor:
    """(B, 1, H, W) or (B, H, W) -> (B, H, W)."""
    labels = tensor(array).long()
    return labels[:, 0] if labels.ndim == 4 else labels


@family('daformer', 'classmix')
def classmix(case: Case) -> Results:
    labels = label_maps(case.input('source labels'))
    chosen = torch.zeros(len(labels), LABEL_VALUES, dtype=torch.bool)
    for image, classes in enumerate(case.params['classes_per_image']):
        chosen[image, classes] = True
    mask = class_mask(labels, chosen)
    weight = tensor(case.input('pseudo weight', 'weight'))
    images = tensor(case.input('source image')), tensor(case.input('target image'))
    return {
        'mask': mask,
        'mixed_image': mix(mask, *images),
        'mixed_label': mix(mask, labels, label_maps(case.input('pseudo label'))),
        'mixed_weight': mix(mask, torch.ones_like(weight), weight),
    }


@family('daformer', 'classmix_rng')
def classmix_rng(case: Case) -> Results:
    labels = label_maps(case.input('labels'))
    presence = label_presence(labels)
    candidates = presence.nonzero()[:, 0]
    keys = torch.ones(len(labels), LABEL_VALUES)
    number = int(choose_classes(presence, keys)[0].sum())
    generator = np.random.RandomState(case.params['numpy_seed'])
    for image in keys:
        image[candidates[generator.choice(len(candidates), number, replace=False)]] = 0
    chosen = choose_classes(presence, keys)

    width = case.outputs['chosen_classes_present_in_image'].expected.shape[1]
    present = np.full((len(labels), width), -1)
    for row, (image, classes) in enumerate(zip(labels, chosen, strict=True)):
        values = image.unique()
        values = values[classes[values]]
        present[row, : len(values)] = values
    return {
        'mask': class_mask(labels, chosen),
        'chosen_classes_present_in_image': present,
        'params.candidates': candidates,
        'params.number_chosen': number,
    }


@family('daformer', 'jitter')
def jitter(case: Case) -> Results:
    mean, std = (torch.tensor(case.params[name]).view(3, 1, 1) for name in ('mean', 'std'))
    factors = [case.params[name] for name in ('brightness', 'contrast', 'saturation', 'hue')]
    rgb = augmentation.denormalise(tensor(case.input('image')), mean, std)
    jittered = augmentation.color_jitter(
        rgb, augmentation.Jitter(*factors, order=case.params['order'])
    )
    return {
        'denormalised': rgb,
        'jittered': jittered,
        'renormalised': augmentation.normalise(jittered, mean, std),
    }


class _TorchStream:
    """torch's generator behind NumPy's interface, in the published order of a jitter's draws."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.waiting: list[float] = []

    def uniform(self, low: float, high: float, size: int | None = None) -> np.ndarray | np.float64:
        if not self.waiting:
            brightness, contrast, hue, saturation = (
                torch.rand(1, generator=self.generator).item() for _ in range(4)
            )
            self.waiting = [brightness, contrast, saturation, hue]  # our order
        drawn = np.array([self.waiting.pop(0) for _ in range(size or 1)])
        value = low + (high - low) * drawn
        return value if size else value[0]

    def permutation(self, number: int) -> np.ndarray:
        return torch.randperm(number, generator=self.generator).numpy()


@family('daformer', 'jitter_rng')
def jitter_rng(case: Case) -> Results:
    stream = _TorchStream(case.params['torch_seed'])
    rows = []
    for _ in range(case.params['calls']):
        drawn = augmentation.draw_jitter(stream, case.params['strength'])
        factors = drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue
        rows.append([*factors, *drawn.order])
    return {'params': np.array(rows)}


@family('daformer', 'blur')
def blur(case: Case) -> Results:
    images = tensor(case.input('image'))
    sigma = case.params['sigma']
    sigmas = sigma if isinstance(sigma, list) else [sigma] * len(images)
    sides = case.params.get('kernel_size_table', {})
    return {
        'blurred': augmentation.gaussian_blur(images, sigmas),
        'params.kernel_sizes': [augmentation.blur_kernel_size(side) for side in images.shape[2:]],
        'params.kernel_size_table': {
            side: augmentation.blur_kernel_size(int(side)) for side in sides
        },
    }


@family('daformer', 'feature_distance')
def feature_distances(case: Case) -> Results:
    params = case.params
    features = tensor(case.input('features')).requires_grad_()
    reference = tensor(case.input('ImageNet features', 'reference'))
    cells = (len(features), *features.shape[2:])
    results, mask = {}, None
    if case.has_input('labels'):
        small = reduce_labels(
            label_maps(case.input('labels')),
            params['scale_factor'],
            params['num_classes'],
            params['min_ratio'],
        )
        results['label_small'] = small
        if params.get('classes') is not None:
            mask = torch.isin(small, torch.tensor(params['classes']))
        results['mask'] = torch.ones_like(small) if mask is None else mask
    elif case.has_input('mask'):
        mask = tensor(case.input('mask', shape=cells)).bool().view(cells)
    distance = feature_distance(features, reference, mask)
    (gradient,) = torch.autograd.grad(distance, features)
    return results | {
        'distance': distance,
        'distance_without_mask': feature_distance(features, reference, None),
        'gradient': gradient,
        'gradient_of_loss': params.get('lambda_', 1) * gradient,
    }


@family('daformer', 'label_ratio')
def label_ratio(case: Case) -> Results:
    names = 'scale_factor', 'num_classes', 'min_ratio'
    arguments = [case.params[name] for name in names]
    return {'small': reduce_labels(label_maps(case.input('labels')), *arguments)}


@family('daformer', 'pseudo_label')
def pseudo_label(case: Case) -> Results:
    params = case.params
    pseudo = pseudo_labels(tensor(case.input('logits')).softmax(1), params['threshold'])
    top, bottom = params.get('ignore_top') or 0, params.get('ignore_bottom') or 0
    weight = ignore_margins(pseudo.weight, top, bottom)
    valid = params.get('valid_mask')
    if case.has_input('valid'):
        valid = case.input('valid', shape=weight.shape)
    elif isinstance(valid, str):
        valid = evaluate(valid, {'shape': weight.shape})
    if valid is not None:
        valid = tensor(np.asarray(valid, np.float32))
        weight = weight * (valid[:, 0] if valid.ndim == 4 else valid)
    return {
        'label': pseudo.labels,
        'weight_before': pseudo.weight.flatten()[0],
        'weight': weight,
    }


@family('daformer', 'segmentation_loss')
def loss(case: Case) -> Results:
    logits = tensor(case.input('logits')).requires_grad_()
    weight = tensor(case.input('weight')) if case.has_input('weight') else None
    value, accuracy = segmentation_loss(logits, label_maps(case.input('labels')), weight)
    (gradient,) = torch.autograd.grad(value, logits)
    return {'loss': value, 'accuracy': accuracy, 'gradient': gradient}


@family('daformer', 'ema')
def ema(case: Case) -> Results:
    description = case.description('student')
    seed = number_after('seed', description)
    student = _module_in_words(description)
    teacher = Teacher(student, case.params['alpha'])
    teacher_seed = number_after('seed', case.description('teacher'))
    student.load_state_dict(fill_state_dict(student.state_dict(), seed))
    teacher.network.load_state_dict(fill_state_dict(student.state_dict(), teacher_seed))
    size = float(re.search(r'moves by (-?[\d.]+) \* fill_array', case.text)[1])

    results = {}
    for i in range(case.params['steps']):
        teacher.update(student, i)
        for name, value in teacher.network.named_parameters():
            results.setdefault(f'{name.split(".")[-1]}_{i}', as_array(value).copy())
            results[f'{name.replace(".", "_")}_{i}'] = as_array(value).copy()
        with torch.no_grad():
            for name, value in student.named_parameters():
                value += size * tensor(fill_array(f'{case.name}_{name}_{i}', value.shape, seed))
    for name, value in teacher.network.named_buffers():
        results[f'{name.replace(".", "_")}_at_end'] = value
    results['requires_grad'] = [p.requires_grad for p in teacher.network.parameters()]
    return results


def _module_in_words(description: str) -> nn.Module:
    """``Linear(3,2) "lin", scalar "gain"`` as a module with these names."""
    module = nn.Module()
    for kind, sizes, name in re.findall(r'(\w+)\s*(?:\(([\d,\s]*)\))?\s*"(\w+)"', description):
        if kind == 'scalar':
            module.register_parameter(name, nn.Parameter(torch.zeros(())))
        else:
            module.add_module(name, getattr(nn, kind)(*map(int, sizes.split(','))))
    return module
