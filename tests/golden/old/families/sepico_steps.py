"""SePiCo's networks and complete training steps with all random draws given."""

import json
import re
from typing import Any

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

import mmseg_uda.register  # noqa: F401 - registers methods and their parts
from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.uda.augmentation import Jitter
from mmseg_uda.uda.class_mix import LABEL_VALUES
from mmseg_uda.uda.sepico import MIXED, SOURCE, TARGET, SePiCo

from ..cases import Case
from ..fill import fill_state_dict
from ..networks import encoder_config, layout, segmentor_config
from . import Results, family
from .functions import label_maps, tensor
from .optim import optim_wrapper
from .sepico import statistics_results


def projected_config(name: str, embedding: int = 512, **settings: Any) -> dict:
    """Segmentor with projection head for ``dlv2_r50``, ``daformer_b5``...; no stochastic parts."""
    name = re.sub(r'_b(\d)', r'_mitb\1', name)
    config = segmentor_config(name, **settings)
    channels = encoder_config(name.split('_')[1])[1]
    if name.startswith('daformer'):
        config['decode_head']['dropout_ratio'] = 0
        config['backbone']['drop_path_rate'] = 0
        projection = dict(
            in_channels=channels, in_index=[0, 1, 2, 3], input_transform='resize_concat'
        )
    else:
        projection = dict(in_channels=channels[-1], in_index=3)
    config['auxiliary_head'] = dict(type='ProjectionHead', channels=embedding, **projection)
    return config


@family('sepico', 'net_')
def whole_network(case: Case) -> Results:
    name = re.match(r'net_(\w+)_(eval|trainbn)', case.name)[1]
    network = MODELS.build(projected_config(name))
    network.load_state_dict(fill_state_dict(network.state_dict(), case.params['state_seed']))
    network.train('trainbn' in case.name)
    published = case.folder / f'{name}.keys.json'
    if published.is_file():
        check_layout(network, json.loads(published.read_text()))
    results = outputs_of(network, tensor(case.input('x')))
    if network.training:
        # Batch statistics over few cells, layer after layer, amplify rounding: measured here.
        exact = outputs_of(network.double(), tensor(case.input('x')).double())
        for name in ('feat3', 'logits', 'proj', 'full_logits'):
            results[f'noise.{name}'] = (results[name] - exact[name]).abs()
    return results


def outputs_of(network: nn.Module, images: Tensor) -> Results:
    with torch.no_grad():
        features = network.features(images)
        logits, (projection,) = network.decode(features), network.project(features)
    full = nn.functional.interpolate(logits, images.shape[2:], mode='bilinear')
    results = {
        'feat_shapes': [list(feature.shape) for feature in features],
        'feat3': features[-1],
        'logits': logits,
        'logits_shape': list(logits.shape),
        'proj': projection,
        'proj_shape': list(projection.shape),
        'full_logits': full,
        'full_argmax': full.argmax(dim=1),
    }
    for number, feature in enumerate(features):
        statistics = feature.mean(), feature.std(), feature.abs().max()
        results[f'feat{number}_stats'] = torch.stack(statistics)
    return results


def check_layout(network: nn.Module, published: dict) -> None:
    """Names, shapes and order of the state dict; rates and decays of the parameters."""
    assert layout(network) == published['model'], f'{published["network"]}: other entries'
    method = nn.ModuleDict({'student': network})
    groups = optim_wrapper(method, optimizer_config(published['network'])).optimizer.param_groups
    settings = {
        id(parameter): (group['lr'] / 6e-5, group['weight_decay'] / 0.01)
        for group in groups
        for parameter in group['params']
    }
    ours = [settings[id(parameter)] for parameter in network.parameters()]
    names = [name for name, _ in network.named_parameters()]
    assert names == [name for name, *_ in published['param_groups']]
    theirs = [multipliers for _, *multipliers in published['param_groups']]
    assert np.allclose(ours, theirs), f'{published["network"]}: other rates or decays'


def optimizer_config(network: str, lr: float = 6e-5, head: float = 10.0, **settings) -> dict:
    """The published rules: heads learn faster; without decay are MiT's norms only."""
    rules = dict(head=dict(lr_mult=head))
    if network.startswith('daformer'):
        rules |= dict(pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
    settings = dict(betas=(0.9, 0.999), weight_decay=0.01) | settings
    return dict(type='AdamW', lr=lr, paramwise_cfg=dict(custom_keys=rules), **settings)


@family('sepico', 'train_')
def training_steps(case: Case) -> Results:
    params = case.params
    method = build_method(case)
    optimizer = {
        n: v for n, v in params['optimizer'].items() if n in ('lr', 'betas', 'weight_decay')
    }
    head = params['optimizer']['lr_head'] / params['optimizer']['lr']
    wrapper = optim_wrapper(method, optimizer_config(params['network'], head=head, **optimizer))
    start = {name: value.clone() for name, value in method.student.state_dict().items()}
    method.train()

    results, log = {}, []
    for i, listed in enumerate(case.inputs['injected_draws']):
        method.draw = lambda batch_size, listed=listed: GivenDraws(listed)
        method.keep_pictures = True
        seen = record_student_calls(method)
        logs = method.backward_passes(batch(case, i), wrapper)
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
        results |= {f'{name}_{i}': value for name, value in seen.items()}
        results |= {f'{name}_{i}': value for name, value in mixed_results(method).items()}
        log.append(published_log(logs))

    results['log'] = log
    results['log_names'] = sorted(set().union(*log))
    return results | probes(case, method, start)


def build_method(case: Case) -> SePiCo:
    params, contrast = case.params, case.params['contrast']
    variant = 'bank' if contrast['use_bank'] else 'dist' if contrast['use_dist'] else 'proto'
    segmentor = projected_config(params['network'], num_classes=params['num_classes'])
    parts = {}
    if params.get('class_weight'):
        segmentor['class_weight'] = params['class_weight']
    if params.get('day_ratio'):
        ranges = params['shift_insensitive_classes']
        parts['day'] = dict(
            type='DayPartner',
            ratio=params['day_ratio'],
            classes=[train_id for first, end in ranges for train_id in range(first, end)],
            class_weight=params.get('class_weight'),
        )
    top, bottom = (params[f'pseudo_weight_ignore_{side}'] for side in ('top', 'bottom'))
    if top or bottom:
        parts['margins'] = dict(type='IgnoreMargins', top=top, bottom=bottom)
    method = MODELS.build(
        dict(
            type='SePiCo',
            segmentor=segmentor,
            alpha=params['alpha'],
            threshold=params['pseudo_threshold'],
            jitter_strength=params['color_jitter_strength'],
            jitter_threshold=params['color_jitter_probability'],
            blur=params['blur'],
            crop_size=params['crop_size'],
            crop_max_ratio=params['cat_max_ratio'],
            start_iteration=params['start_distribution_iter'],
            contrast=dict(
                variant=variant,
                temperature=contrast['contrast_temp'],
                regulariser=contrast['reg_relative_weight'] * params['use_reg'],
                weight=params['loss_weight'],
                min_ratio=params['scale_min_ratio'],
                bank_size=params['memory_length'],
            ),
            parts=parts,
        )
    )
    for network in (method.student, method.teacher.network):
        network.load_state_dict(fill_state_dict(network.state_dict(), params['state_seed']))
    return method.double()


class GivenDraws:
    """The draws of one step as the case lists them, in place of ``StepDraws``."""

    def __init__(self, listed: dict[str, Any]) -> None:
        self.listed = listed

    def triggers(self, stream: int = 0) -> tuple[float, float]:
        return self.listed['color_jitter_draw'], self.listed['blur_draw']

    def class_keys(self) -> Tensor:
        keys = torch.ones(len(self.listed['mixed_classes']), LABEL_VALUES)
        for image, classes in zip(keys, self.listed['mixed_classes'], strict=True):
            image[classes] = 0
        return keys

    def crop_corners(self, number: int, room: tuple[int, int]) -> Tensor:
        return torch.tensor(self.listed['crop_candidates'])[..., [0, 2]]

    def jitters(self, strength: float, stream: int = MIXED) -> list[Jitter]:
        names = 'brightness', 'contrast', 'saturation', 'hue'
        return [
            Jitter(*(call[f'{name}_factor'][image] for name in names), order=call['order'])
            for call, image in self._calls('jitter', stream)
        ]

    def sigmas(self, stream: int = MIXED) -> list[float]:
        return [sigma for sigma, _ in self._calls('blur_sigma', stream)]

    def _calls(self, kind: str, stream: int) -> list[tuple]:
        """The call's draws for each image, and the image's place in that call."""
        listed, images = self.listed[kind], range(len(self.listed['mixed_classes']))
        if stream == MIXED:
            return [(listed[f'mixed_{image}'], 0) for image in images]
        name = {SOURCE: 'source', TARGET: 'target'}[stream]
        return [(listed[name], image) for image in images]


def batch(case: Case, i: int) -> UDABatch:
    def images(name: str) -> Tensor:
        return tensor(case.input(f'{name}_{i}')).double()

    source = DomainBatch(images('img'), label_maps(case.input(f'label_{i}')))
    day = images('day') if f'day_{i}' in case.inputs else None
    return UDABatch(source, DomainBatch(images('target'), day=day))


def record_student_calls(method: SePiCo) -> dict[str, Tensor]:
    """Fills while the step runs: the images that the student sees, the contrast's labels."""
    seen: dict[str, Tensor] = {}
    features, loss = type(method.student).features, type(method.contrast).loss
    order = ['source_strong', 'target_strong', 'mixed']
    if method.iteration < method.start_iteration:
        order.remove('target_strong')

    def recording_features(images: Tensor) -> list[Tensor]:
        seen[order.pop(0)] = images.clone()
        return features(method.student, images)

    def recording_loss(embeddings: list[Tensor], labels: Tensor) -> Tensor:
        if 'target_strong' in seen:
            seen['target_label_contrast'] = labels[:, None].clone()
        return loss(method.contrast, embeddings, labels)

    method.student.features, method.contrast.loss = recording_features, recording_loss
    return seen


def mixed_results(method: SePiCo) -> Results:
    (statistics,) = method.contrast.statistics
    results = {name: value.clone() for name, value in statistics_results(statistics).items()}
    mixed = method.pictures.mixed
    return {
        'mixed_label': mixed.labels[:, None],
        'mixed_weight': mixed.weight,
        'cov': 1000 * results.pop('covariance'),
        **results,
    }


def published_log(logs: dict[str, Tensor]) -> dict[str, float]:
    """Every pass under its name, with the sum of its losses."""
    named = {
        name if name.startswith(('tgt.', 'mix.')) else f'src.{name}': float(value)
        for name, value in logs.items()
        if name != 'loss'
    }
    for part in {name.split('.')[0] for name in named}:
        losses = [v for n, v in named.items() if n.startswith(f'{part}.') and 'loss' in n]
        named[f'{part}.loss'] = sum(losses)
    return named


def probes(case: Case, method: SePiCo, start: dict[str, Tensor]) -> Results:
    """How far single entries of parameters moved, in units of their learning rate."""
    results: Results = {}
    networks = {'student': method.student, 'teacher': method.teacher.network}
    for name, output in case.outputs.items():
        kind, _, entry = name.partition('.')
        if kind == 'index':
            results[name] = output.expected
        elif kind in networks:
            rate = float(re.search(r'start value\) / ([\d.e-]+)', output.note)[1])
            moved = (networks[kind].state_dict()[entry] - start[entry]) / rate
            indices = case.outputs[f'index.{entry}'].expected
            results[name] = moved.flatten()[tensor(indices)]
        elif entry == 'num_batches_tracked':
            counts = [v for n, v in method.student.named_buffers() if n.endswith(entry)]
            results[name] = max(counts)
        elif kind == 'buffer':
            first = re.search(r'first (\d+)', output.note)
            value = method.student.get_buffer(entry)
            results[name] = value[: int(first[1])] if first else value
    return results
