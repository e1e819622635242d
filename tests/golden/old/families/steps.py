"""Complete training steps with all random draws given."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

import mmseg_uda.register  # noqa: F401 - registers methods and their parts
from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.uda.method import UDAMethod

from ..cases import Case, UnknownCase
from ..expressions import evaluate, number_after
from ..fill import fill_array
from ..networks import hrda_config, segmentor_config
from . import Results, family
from .functions import label_maps, tensor
from .masked_steps import GivenDraws, Optimisers, masked_consistency, method_without_teacher

FEATURE_DISTANCE = 'src.loss_imnet_feat_dist'
HEAD_SETTINGS = 'channels', 'embed_dims', 'dropout_ratio'


@family('daformer', r'\w+?_step')
def training_steps(case: Case) -> Results:
    """Steps of self-training and its baselines, with an encoder-decoder or HRDA."""
    method = build_method(case)
    published = published_names(method)
    seed = number_after('seed', case.description('weights'))
    with torch.no_grad():
        for name, entry in published.items():
            entry.copy_(tensor(fill_array(name, entry.shape, seed)))
    return run_steps(case, method, published)


def build_method(case: Case) -> UDAMethod:
    """Our method for the published options of the case.

    Raises:
        UnknownCase: for options of methods that are not built yet.
    """
    uda = case.params['uda']
    segmentor = _segmentor(case.params['model'], case.params['num_classes'])
    parts = _parts(case, uda)
    if (method := method_without_teacher(case, segmentor, parts)) is not None:
        return method
    if not {'alpha', 'source_only'} & set(uda) or uda.get('mix', 'class') != 'class':
        raise UnknownCase(f'{case.name}: the options {sorted(uda)} are of no method known here')
    if uda.get('source_only'):
        if uda.get('imnet_feature_dist_lambda'):
            raise UnknownCase(f'{case.name}: source-only with a feature distance is not known')
        return MODELS.build(dict(type='SourceOnly', segmentor=segmentor, parts=parts))
    return MODELS.build(
        dict(
            type='SelfTraining',
            segmentor=segmentor,
            alpha=uda['alpha'],
            threshold=uda['pseudo_threshold'],
            jitter_strength=uda['color_jitter_strength'],
            jitter_threshold=uda['color_jitter_probability'],
            blur=uda['blur'],
            parts=parts,
        )
    )


def _segmentor(model: dict, num_classes: int) -> dict:
    """Config of ``{'backbone': 'mit_b0 (drop_path_rate 0)', 'channels': 32, ...}``.

    Raises:
        UnknownCase: for a segmentor of another type.
    """
    name = f'daformer_{model["backbone"].split()[0].replace("_", "")}'
    settings = {key: model[key] for key in HEAD_SETTINGS if key in model}
    settings['num_classes'] = num_classes
    kind = model.get('type', 'EncoderDecoder')
    if kind == 'EncoderDecoder':
        config = segmentor_config(name, **settings)
    elif kind == 'HRDAEncoderDecoder':
        config = hrda_config(name, model, **settings)
    else:
        raise UnknownCase(f'a segmentor of the type {kind} is not known')
    if config['backbone']['type'] == 'MiT':
        config['backbone']['drop_path_rate'] = 0
    return config


def _parts(case: Case, uda: dict) -> dict[str, dict]:
    parts = {}
    if uda.get('imnet_feature_dist_lambda'):
        parts['feature_distance'] = dict(
            type='FeatureDistance',
            weight=uda['imnet_feature_dist_lambda'],
            classes=uda.get('imnet_feature_dist_classes'),
            min_ratio=uda.get('imnet_feature_dist_scale_min_ratio'),
        )
    top = uda.get('pseudo_weight_ignore_top') or 0
    bottom = uda.get('pseudo_weight_ignore_bottom') or 0
    if top or bottom:
        parts['margins'] = dict(type='IgnoreMargins', top=top, bottom=bottom)
    if case.params.get('valid_pseudo_mask'):
        parts['valid_region'] = dict(type='ValidRegion')
    return parts | masked_consistency(case)


def published_names(method: UDAMethod) -> dict[str, Tensor]:
    """Our parameters and buffers by the names of published checkpoints."""
    networks = {'model.': method.student}
    if hasattr(method, 'teacher'):
        networks['ema_model.'] = method.teacher.network
    if hasattr(method, 'discriminator'):
        networks['model_D.main.'] = method.discriminator
    if 'mic' in method.parts and method.parts['mic'].teacher is not None:
        networks['mic.teacher.ema_model.'] = method.parts['mic'].teacher.network
    if 'feature_distance' in method.parts:
        networks['imnet_model.backbone.'] = method.parts['feature_distance'].encoder
    return {
        f'{prefix}{name}': entry
        for prefix, network in networks.items()
        for name, entry in network.state_dict().items()
    }


def run_steps(case: Case, method: UDAMethod, published: dict[str, Tensor]) -> Results:
    """Run the listed iterations, and collect what the case may store of them."""
    params = case.params
    optimisers = Optimisers(method, params)
    wrapper = optimisers.wrapper
    calls = record_calls(method.student)
    results: Results = {}
    losses, norms = [], []
    method.train()
    draws = params.get('draws') or [{}] * len(params['learning_rates'])
    for i, listed in enumerate(draws):
        optimisers.set_rates(i)
        method.draw = partial(GivenDraws, listed)
        boxes = map(tuple, listed.get('boxes', ()))
        with patch('mmseg_uda.models.hrda.random_detail_box', lambda *_, boxes=boxes: next(boxes)):
            logs = method.backward_passes(batch(case, i), wrapper)
        losses.append([_published_value(name, logs[name]) for name in params['log_names']])
        norms.append(
            [gradient_norm(method.student.backbone), gradient_norm(method.student.decode_head)]
        )
        if i == 0:
            results |= _call_results(calls)
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1

    networks = [method.student]
    if hasattr(method, 'teacher'):
        networks.append(method.teacher.network)
    results |= {
        'losses': losses,
        'grad_norms': norms,
        'parameter_norms': [norm(list(network.parameters())) for network in networks],
    }
    return results | {f'final.{name}': entry for name, entry in published.items()}


def batch(case: Case, i: int) -> UDABatch:
    """Source and target images of iteration ``i``, already normalised."""
    source = tensor(case.input('source image', i=i))
    labels = label_maps(case.input('source labels', i=i, shape=source.shape))
    target = tensor(case.input('target image', i=i, shape=list(source.shape)))
    valid = None
    if region := case.params.get('valid_pseudo_mask'):
        valid = tensor(evaluate(region, {'shape': labels.shape}))
    return UDABatch(DomainBatch(source, labels), DomainBatch(target, valid=valid))


def record_calls(student: nn.Module) -> list[tuple]:
    """A list to which every supervised forward of the student adds its inputs."""
    calls: list[tuple] = []
    supervise: Callable = student.supervise

    def recording(images: Tensor, labels: Tensor, weight: Tensor | None = None) -> Any:
        calls.append((images.clone(), labels.clone(), weight if weight is None else weight.clone()))
        return supervise(images, labels, weight)

    student.supervise = recording
    return calls


def _call_results(calls: list[tuple]) -> Results:
    names = 'image', 'label', 'weight'
    return {
        f'call{number}_{name}': value
        for number, call in enumerate(calls)
        for name, value in zip(names, call, strict=True)
        if value is not None
    }


def gradient_norm(module: nn.Module) -> float:
    return norm([p.grad for p in module.parameters() if p.grad is not None])


def norm(tensors: list[Tensor]) -> float:
    """L2 norm of all elements together."""
    return float(torch.stack([t.detach().double().square().sum() for t in tensors]).sum().sqrt())


def _published_value(name: str, value: Tensor) -> float:
    """The published code logs the mean over no cells as NaN where ours logs 0."""
    empty = name == FEATURE_DISTANCE and value == 0
    return float('nan') if empty else float(value)
