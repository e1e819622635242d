"""Class mixing and strong colour augmentation."""

import numpy as np
import torch
from torch import Tensor

from mmseg_uda.uda.components.augmentation import (
    Jitter,
    blur_kernel_size,
    color_jitter,
    denormalise,
    draw_jitter,
    gaussian_blur,
    normalise,
)
from mmseg_uda.uda.components.class_mix import (
    LABEL_VALUES,
    choose_classes,
    class_mask,
    label_presence,
    mix,
)
from tests.golden.registry import Params, Results, golden, label_maps, tensor


def class_keys(classes: list[list[int]]) -> Tensor:
    """Numbers (B, 256) that replace random ones: 0 for the listed classes of each image, else 1."""
    keys = torch.ones(len(classes), LABEL_VALUES)
    for image, chosen in zip(keys, classes, strict=True):
        image[chosen] = 0
    return keys


@golden('class_mix')
def mixed(params: Params, inputs: Params) -> Results:
    labels, weight = label_maps(inputs['source_labels']), tensor(inputs['target_weight'])
    mask = class_mask(labels, class_keys(params['classes']) == 0)
    images = (tensor(inputs[f'{domain}_images']) for domain in ('source', 'target'))
    return {
        'mask': mask,
        'mixed_images': mix(mask, *images),
        'mixed_labels': mix(mask, labels, label_maps(inputs['target_labels'])),
        'mixed_weight': mix(mask, torch.ones_like(weight), weight),
    }


@golden('class_mix_draw')
def drawn_classes(params: Params, inputs: Params) -> Results:
    labels = label_maps(inputs['source_labels'])
    presence = label_presence(labels)
    candidates = presence.nonzero()[:, 0]
    number = int(choose_classes(presence, torch.rand(len(labels), LABEL_VALUES))[0].sum())
    rng = np.random.RandomState(params['numpy_seed'])
    drawn = [candidates[rng.choice(len(candidates), number, replace=False)] for _ in labels]
    chosen = choose_classes(presence, class_keys(drawn))
    return {
        'mask': class_mask(labels, chosen),
        'candidates': candidates,
        'number_chosen': number,
        'chosen_classes': [
            [value for value in image.unique().tolist() if classes[value]]
            for image, classes in zip(labels, chosen, strict=True)
        ],
    }


@golden('color_jitter')
def jittered(params: Params, inputs: Params) -> Results:
    mean, std = (torch.tensor(params[name]).view(3, 1, 1) for name in ('mean', 'std'))
    factors = [params[name] for name in ('brightness', 'contrast', 'saturation', 'hue')]
    rgb = denormalise(tensor(inputs['images']), mean, std)
    jittered = color_jitter(rgb, Jitter(*factors, order=params['order']))
    return {
        'denormalised': rgb,
        'jittered': jittered,
        'renormalised': normalise(jittered, mean, std),
    }


class TorchStream:
    """torch's generator with NumPy's interface, in the published order of the jitter's draws."""

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


@golden('color_jitter_draw')
def drawn_jitters(params: Params, inputs: Params) -> Results:
    stream = TorchStream(params['torch_seed'])
    calls = [draw_jitter(stream, params['strength']) for _ in range(params['calls'])]
    return {
        'draws': np.array(
            [[c.brightness, c.contrast, c.saturation, c.hue, *c.order] for c in calls]
        )
    }


@golden('gaussian_blur')
def blurred(params: Params, inputs: Params) -> Results:
    return {
        'blurred': gaussian_blur(tensor(inputs['images']), params['sigmas']),
        'kernel_sizes': [blur_kernel_size(side) for side in params['sides']],
    }
