"""ADVENT: entropy maps, their discriminators, and complete steps of AdvEnt."""

from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.engine.schedules import WarmupPolyLR
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.methods.advent import information_map
from mmseg_uda.uda.methods.advseg import SOURCE, TARGET, domain_loss
from mmseg_uda.uda.methods.minent import entropy
from tests.golden.functions.methods import gradient_norm
from tests.golden.functions.optimisation import rates_at
from tests.golden.networks import CONFIGS, load
from tests.golden.networks_caco import (
    caco_config,
    caco_name,
    discriminator_name,
    optimizer_section,
)
from tests.golden.registry import Params, Results, golden, label_maps, only, tensor

ADVENT = CONFIGS / '_base_' / 'uda' / 'advent.py'


@golden('entropy_map')
def entropy_map(params: Params, inputs: Params) -> Results:
    only(params, num_classes=inputs['logits'].shape[1])
    return {'entropy': information_map(tensor(inputs['logits']).softmax(1))}


@golden('min_entropy_loss')
def min_entropy_loss(params: Params, inputs: Params) -> Results:
    only(params, num_classes=inputs['logits'].shape[1])
    return {'loss': entropy(tensor(inputs['logits']).softmax(1)).mean()}


@golden('entropy_discriminator')
@torch.no_grad()
def entropy_discriminator(params: Params, inputs: Params) -> Results:
    network = discriminator(params['num_classes'], inputs)
    scores = network(information_map(tensor(inputs['logits']).softmax(1)))
    return {
        'scores': scores,
        'bce_source': domain_loss(scores, SOURCE, 'bce'),
        'bce_target': domain_loss(scores, TARGET, 'bce'),
    }


def discriminator(num_classes: int, inputs: Params) -> Discriminator:
    network = Discriminator(num_classes)
    load(network, inputs['weights'], discriminator_name)
    return network


@golden('entropy_discriminator_updates')
def entropy_discriminator_updates(params: Params, inputs: Params) -> Results:
    """The updates of the discriminator in a step of AdvEnt."""
    network = discriminator(inputs['source_logits'].shape[1], inputs)
    optimizer = dict(type='Adam', lr=params['base_lr'], betas=params['betas'])
    wrapper = build_optim_wrapper(network, dict(type='OptimWrapper', optimizer=optimizer))
    maps = {
        domain: information_map(tensor(inputs[f'{name}_logits']).softmax(1))
        for name, domain in (('source', SOURCE), ('target', TARGET))
    }
    schedule = dict(max_iters=params['max_iters'], power=params['power'])
    results: Results = {'loss_source': [], 'loss_target': [], 'lr': []}
    for i in range(params['updates']):
        ((rate,),) = rates_at([i], [params['base_lr']], **schedule)
        wrapper.param_groups[0]['lr'] = rate
        losses = {
            domain: 0.5 * domain_loss(network(m), domain, 'bce') for domain, m in maps.items()
        }
        wrapper.update_params(losses[SOURCE] + losses[TARGET])
        results['loss_source'].append(losses[SOURCE].item())
        results['loss_target'].append(losses[TARGET].item())
        results['lr'].append(rate)
    with torch.no_grad():
        scores = network(maps[SOURCE])
    return results | {'last_bias': network.classifier.bias, 'scores_source': scores}


@golden('advent_steps')
def advent_steps(params: Params, inputs: Params) -> Results:
    method = build_advent(params, inputs)
    start = {name: value.clone() for name, value in method.student.state_dict().items()}
    wrapper = optimizers(method, params)
    schedule = dict(end=params['max_iters'], power=params['power'])
    schedulers = [WarmupPolyLR(optimizer, **schedule) for optimizer in wrapper.values()]
    method.train()
    steps, results = [], {}
    for i in range(len(inputs['source_images'])):
        logs = method.backward_passes(method.begin(batch(inputs, i)), wrapper)
        if i == 0:
            results['backward'] = backward_values(logs)
            results |= gradients(method)
        steps.append(losses(logs, method) | {'grad_norm': gradient_norm(method.student)})
        wrapper.step()
        wrapper.zero_grad()
        for scheduler in schedulers:
            scheduler.step()
        method.iteration += 1
    results |= {name: [step[name] for step in steps] for name in steps[0]}
    moved = method.student.state_dict().items()
    return results | {f'moved.{caco_name(n)}': value - start[n] for n, value in moved}


def build_advent(params: Params, inputs: Params) -> UDAMethod:
    """AdvEnt as in our config, with the weights of the case."""
    config = Config.fromfile(ADVENT).model.to_dict()
    config['weight'] = {level: params[f'weight_{level}'] for level in ('main', 'aux')}
    segmentor = caco_config(params['network'], params['num_classes'])
    method = MODELS.build(config | dict(segmentor=segmentor))
    load(method.student, inputs['weights'], caco_name)
    for level, network in method.discriminator.items():
        load(network, inputs[f'discriminator_{level}'], discriminator_name)
    return method


def optimizers(method: UDAMethod, params: Params) -> Any:
    section = Config.fromfile(ADVENT).discriminator.to_dict()
    section['optimizer']['lr'] = params['lr_discriminator']
    sections = dict(student=optimizer_section(params), discriminator=section)
    return build_optim_wrapper(method, dict(constructor='JointOptimWrapperConstructor', **sections))


def batch(inputs: Params, i: int) -> UDABatch:
    """Normalised source and target images of iteration ``i``."""
    source = DomainBatch(tensor(inputs['source_images'][i]), label_maps(inputs['source_labels'][i]))
    return UDABatch(source, DomainBatch(tensor(inputs['target_images'][i])))


def losses(logs: dict[str, Tensor], method: UDAMethod) -> dict[str, float]:
    """Losses of a step by their published names, without the weights of the student's."""
    values = {}
    for level, weight in method.weights.items():
        seg, factor = (
            ('', 1.0) if level == 'main' else ('.aux', method.student.level_weights['aux'])
        )
        values[f'loss_seg_src_{level}'] = float(logs[f'decode{seg}.loss_seg']) / factor
        values[f'loss_adv_trg_{level}'] = float(logs[f'G_trg.loss.{level}']) / weight
        values[f'loss_d_{level}'] = float(logs[f'D_trg.loss.{level}'])
    return values


def backward_values(logs: dict[str, Tensor]) -> list[float]:
    """The published code back-propagates these sums one after the other."""
    sums = (
        ('decode.loss_seg', 'decode.aux.loss_seg'),
        ('G_trg.loss.main', 'G_trg.loss.aux'),
        *((f'D_{domain}.loss.{level}',) for domain in ('src', 'trg') for level in ('aux', 'main')),
    )
    return [float(sum(logs[name] for name in names)) for names in sums]


def gradients(method: UDAMethod) -> dict[str, Tensor]:
    return {
        f'gradient.{caco_name(name)}': parameter.grad.clone()
        for name, parameter in method.student.named_parameters()
        if parameter.grad is not None
    }
