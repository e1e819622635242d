"""FADA, SDCA's ancestor: pixel discriminator, soft-label cross entropy, complete training steps."""

import re

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from mmseg_uda.engine.optim import JointOptimWrapper
from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.models.discriminator import PixelDiscriminator
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.class_adversarial import SOURCE, TARGET, class_domain_loss
from mmseg_uda.uda.method import UDAMethod

from ..cases import Case
from ..expressions import evaluate
from ..networks import layout
from . import Results, family
from .sdca_net import (
    CONFIGS,
    described,
    filled,
    gradient_norms,
    inputs,
    network_of,
    poly,
    segmentor_config,
    some,
)

NETWORKS = ('student', 'discriminator')


@family('sdca', r'class_adversarial\.pixel_discriminator')
def pixel_discriminator(case: Case) -> Results:
    keys = case.params['keys']
    network = PixelDiscriminator(keys['D.0.weight'][1], keys['cls1.weight'][0])
    assert dict(layout(network)) == keys
    with torch.no_grad():
        logits = filled(network, case.params['seed'])(inputs(case)['x'])
    results = {'logits': logits}
    for name, output in case.outputs.items():
        if wide := re.fullmatch(r'upsampled_every(\d+)px', name):
            step = int(wide[1])
            size = tuple(step * side for side in output.expected.shape[2:])
            results[name] = upscale(logits, size, align_corners=True)[..., ::step, ::step]
    return results


@family('sdca', r'class_adversarial\.soft_label_ce')
def soft_label_cross_entropy(case: Case) -> Results:
    scores = torch.as_tensor(described(case.inputs['pred'])).requires_grad_()
    weights = torch.as_tensor(described(case.inputs['weights']))
    softmax, cap, order = re.match(
        r'q = (.+) clipped at ([\d.]+) \(not renormalised\); concat\((.+)\)', case.inputs['soft']
    ).groups()
    classes = torch.as_tensor(evaluate(softmax)).clamp(max=float(cap))
    domain = SOURCE if order.startswith('q') else TARGET
    losses = class_domain_loss(scores, classes, domain)
    loss = losses.mean()
    loss.backward()
    return {
        'loss': loss,
        'loss_weighted': (weights * losses).mean(),
        'grad_times_1e3_image0': 1e3 * scores.grad[0],
    }


@family('sdca', r'class_adversarial\.adversarial_steps')
def adversarial_steps(case: Case) -> Results:
    params = case.params
    given = inputs(case)
    method = build_method(case)
    wrapper = optimisers(method, params)
    steps = int(re.match(r'(\d+) complete', case.text)[1])
    number = len(given['source']) // steps
    series: dict[str, list] = {}
    for step in range(steps):
        part = slice(step * number, (step + 1) * number)
        source = DomainBatch(given['source'][part], given['label'][part])
        for optimizer in wrapper.values():
            for group in optimizer.param_groups:
                group['lr'] = group['initial_lr'] * poly(step, 1.0, params['max_iter'])
        logs = method.backward_passes(UDABatch(source, DomainBatch(given['target'][part])), wrapper)
        figures = {
            'loss_seg': logs['decode.loss_seg'],
            'loss_adv_tgt': logs['G_trg.loss'],
            'loss_D_src': logs['D_src.loss'],
            'loss_D_tgt': logs['D_trg.loss'],
            'loss_D': logs['D_src.loss'] + logs['D_trg.loss'],
        }
        for name, value in (figures | gradient_norms(method)).items():
            series.setdefault(name, []).append(float(value))
        wrapper.step()
        wrapper.zero_grad()
    state = method.discriminator.state_dict()
    results = series | {f'final.{name}': some(value) for name, value in state.items()}
    return results | {f'noise.{n}': allowed_error(case, n) for n in case.outputs}


def build_method(case: Case) -> UDAMethod:
    params = case.params
    segmentor = segmentor_config(
        network_of(params),
        num_classes=len(case.outputs['final.cls1.bias'].expected),
        temperature=params['temperature'],
    )
    method = MODELS.build(
        dict(
            type='ClassAdversarial',
            segmentor=segmentor,
            weight=params['lambda_adv'],
            cap=params['clip'],
        )
    )
    for name in NETWORKS:
        filled(getattr(method, name), params['seed'])
    return method.train()


def optimisers(method: UDAMethod, params: dict) -> JointOptimWrapper:
    student = Config.fromfile(CONFIGS / 'schedules' / 'sgd_poly_20k.py').optim_wrapper
    student.optimizer.lr = params['base_lr']
    discriminator = Config.fromfile(CONFIGS / 'uda' / 'class_adversarial.py').discriminator
    kind, betas = re.match(r'(\w+) betas \((.+)\)', params['optimiser_D']).groups()
    discriminator.optimizer = dict(
        type=kind, lr=params['base_lr_D'], betas=tuple(map(float, betas.split(',')))
    )
    sections = dict(zip(NETWORKS, (student, discriminator), strict=True))
    wrapper = build_optim_wrapper(
        method, dict(constructor='JointOptimWrapperConstructor', **sections)
    )
    for optimizer in wrapper.values():
        for group in optimizer.param_groups:
            group['initial_lr'] = group['lr']
    return wrapper


def allowed_error(case: Case, name: str) -> np.ndarray:
    """What the tolerance, in words, allows: one for the first step, one for what follows."""
    expected = np.abs(case.outputs[name].expected).astype(float)
    words = case.entry['tolerance']
    first, later = (float(words[w].removeprefix('rtol ')) for w in ('step1', 'later'))
    relative = np.full_like(expected, later)
    if not name.startswith('final.'):
        relative[0] = first
    return relative * expected
