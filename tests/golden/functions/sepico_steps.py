"""Complete training steps of SePiCo with all random draws given."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.uda.components.augmentation import Jitter
from mmseg_uda.uda.methods.sepico import MIXED, SOURCE, TARGET, SePiCo
from tests.golden.functions.methods import build_method, numbers
from tests.golden.functions.mixing import class_keys
from tests.golden.functions.optimisation import optim_wrapper
from tests.golden.networks import load
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('sepico_steps')
def training_steps(params: Params, inputs: Params) -> Results:
    method = build_method(params, inputs)
    for network in (method.student, method.teacher.network):
        load(network, inputs['weights'])
    method.double()
    wrapper = optim_wrapper(method, params['optimizer'].plain())
    start = {name: value.clone() for name, value in method.student.state_dict().items()}
    method.train()
    steps = []
    for i, draws in enumerate(params['draws']):
        method.draw = lambda batch_size, draws=draws: GivenDraws(draws)
        method.keep_pictures = True
        seen = observe(method)
        logs = method.backward_passes(method.begin(batch(inputs, i)), wrapper)
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
        steps.append(seen | step_results(method) | {'log': published_log(numbers(logs))})

    names = {name for step in steps for name in step}
    results = {name: [step.get(name) for step in steps] for name in names}
    buffers = dict(method.student.named_buffers())
    tracked = (int(value) for name, value in buffers.items() if name.endswith('batches_tracked'))
    return results | {
        'buffer': buffers,
        'batches_tracked': max(tracked, default=0),
        'moved': movements(params, inputs, method, start),
    }


def batch(inputs: Params, i: int) -> UDABatch:
    images = {
        name: tensor(inputs[f'{name}_images'][i]).double()
        for name in ('source', 'target', 'day')
        if f'{name}_images' in inputs
    }
    source = DomainBatch(images['source'], label_maps(inputs['source_labels'][i]))
    return UDABatch(source, DomainBatch(images['target'], day=images.get('day')))


class GivenDraws:
    """Replaces ``StepDraws`` by the random draws that a case lists."""

    def __init__(self, listed: Mapping[str, Any]) -> None:
        self.listed = listed

    def triggers(self, stream: int = 0) -> tuple[float, float]:
        return self.listed['trigger']['jitter'], self.listed['trigger']['blur']

    def class_keys(self) -> Tensor:
        return class_keys(self.listed['classes'])

    def crop_corners(self, number: int, room: tuple[int, int]) -> Tensor:
        return torch.tensor(self.listed['crop_candidates'])[..., [0, 2]]

    def jitters(self, strength: float, stream: int = MIXED) -> list[Jitter]:
        names = 'brightness', 'contrast', 'saturation', 'hue'
        return [
            Jitter(*(call[name][image] for name in names), order=call['order'])
            for call, image in self._calls('jitters', stream)
        ]

    def sigmas(self, stream: int = MIXED) -> list[float]:
        return [sigma for sigma, _ in self._calls('sigmas', stream)]

    def _calls(self, kind: str, stream: int) -> list[tuple]:
        """Random draws of a call for each image, and the image's index in the call."""
        listed, images = self.listed[kind], range(len(self.listed['classes']))
        if stream == MIXED:
            return [(listed[f'mixed_{image}'], 0) for image in images]
        name = {SOURCE: 'source', TARGET: 'target'}[stream]
        return [(listed[name], image) for image in images]


def observe(method: SePiCo) -> dict[str, Tensor]:
    """Filled during a step: the student's input images, the labels of the contrast."""
    seen: dict[str, Tensor] = {}
    features, loss = type(method.student).features, type(method.contrast).loss
    order = ['source_strong', 'target_strong', 'mixed_images']
    if method.iteration < method.start_iteration:
        order.remove('target_strong')

    def recording_features(images: Tensor) -> list[Tensor]:
        seen[order.pop(0)] = images.clone()
        return features(method.student, images)

    def recording_loss(embeddings: list[Tensor], labels: Tensor) -> Tensor:
        if 'target_strong' in seen:
            seen['target_labels_for_contrast'] = labels.clone()
        return loss(method.contrast, embeddings, labels)

    method.student.features, method.contrast.loss = recording_features, recording_loss
    return seen


def step_results(method: SePiCo) -> Results:
    """Class statistics and mixed labels after a step."""
    (statistics,) = method.contrast.statistics
    mixed = method.pictures.mixed
    return {
        'mixed_labels': mixed.labels,
        'mixed_weight': mixed.weight,
        'mean': statistics.mean.clone(),
        'variance': statistics.variance.clone(),
        'variance_times_1000': 1000 * statistics.variance,
        'count': statistics.count.clone(),
        'bank_length': statistics.lengths,
    }


def published_log(logs: dict[str, float]) -> dict[str, float]:
    """Every pass by name, with the sum of its losses."""
    own = {name: value for name, value in logs.items() if name != 'loss'}
    named = {n if n.startswith(('tgt.', 'mix.')) else f'src.{n}': v for n, v in own.items()}
    totals: dict[str, float] = {}
    for name, value in named.items():
        if 'loss' in name:
            total = f'{name.split(".")[0]}.loss'
            totals[total] = totals.get(total, 0) + value
    return named | totals


def movements(
    params: Params, inputs: Params, method: SePiCo, start: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Changes of single elements of entries, each in the unit that the case gives for its entry."""
    networks = {'student': method.student, 'teacher': method.teacher.network}
    results = {}
    for entry, unit in params['probe_units'].items():
        places = tensor(inputs[f'probe.{entry}']).long()
        for name, network in networks.items():
            moved = (network.state_dict()[entry] - start[entry]) / unit
            results[f'{name}.{entry}'] = moved.flatten()[places]
    return results
