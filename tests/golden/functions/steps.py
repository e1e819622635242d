"""Complete training steps of self-training, its baselines and CDDA, with all random draws given."""

from functools import partial
from typing import Any
from unittest.mock import patch

from mmengine.optim import OptimWrapper
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.engine.optim import JointOptimWrapper
from mmseg_uda.uda.method import UDAMethod
from tests.golden.functions.cdda import GivenBank, soft_labels
from tests.golden.functions.methods import (
    GivenDraws,
    build_method,
    detail_boxes,
    gradient_norm,
    load_published,
    norm,
    numbers,
    published_names,
    record_calls,
)
from tests.golden.functions.optimisation import optim_wrapper, rates_at
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('train_steps')
def training_steps(params: Params, inputs: Params) -> Results:
    method = build_method(params, inputs)
    entries = published_names(method)
    load_published(entries, inputs['weights'])
    optimisers = Optimisers(method, params)
    calls = record_calls(method.student)
    method.train()
    results: Results = {'log': [], 'gradient_norm': []}
    rates = params['learning_rates']
    for i, draws in enumerate(params['draws']):
        optimisers.set_rates(i, rates[i])
        method.draw = partial(GivenDraws, draws)
        with detail_boxes(draws['detail_boxes']):
            logs = method.backward_passes(method.begin(batch(inputs, i)), optimisers.wrapper)
        results['log'].append(numbers(logs))
        results['gradient_norm'].append(
            {name: gradient_norm(getattr(method.student, name)) for name in PARTS}
        )
        results.setdefault('call', calls.copy())
        optimisers.wrapper.step()
        optimisers.wrapper.zero_grad()
        method.iteration += 1
    return results | {'parameter_norm': parameter_norms(method), 'final': entries}


PARTS = 'backbone', 'decode_head'


def batch(inputs: Params, i: int) -> UDABatch:
    """Normalised source and target images of iteration ``i``."""
    source = DomainBatch(tensor(inputs['source_images'][i]), label_maps(inputs['source_labels'][i]))
    valid = tensor(inputs['valid']).float() if 'valid' in inputs else None
    depth = tensor(inputs['target_depth'][i]).float() if 'target_depth' in inputs else None
    target = tensor(inputs['target_images'][i]).float()
    return UDABatch(source, DomainBatch(target, valid=valid, depth=depth))


def parameter_norms(method: UDAMethod) -> dict[str, float]:
    networks = {'student': method.student}
    if hasattr(method, 'teacher'):
        networks['teacher'] = method.teacher.network
    return {name: norm(list(network.parameters())) for name, network in networks.items()}


class Optimisers:
    """The optimisers of a case's steps; the case lists the learning rates of the main one.

    As published, the main one also updates the discriminator.
    """

    def __init__(self, method: UDAMethod, params: Params) -> None:
        optimizer = params['optimizer'].plain()
        self.base = optimizer['lr']
        self.main = self.wrapper = optim_wrapper(method, optimizer)
        self.rates = [group['lr'] for group in self.main.param_groups]
        self.discriminator: OptimWrapper | None = None
        if hasattr(method, 'discriminator'):
            self.schedule = params['options']['discriminator_lr'].plain()
            self.discriminator_base = self.schedule.pop('base_lr')
            adam = dict(type='Adam', lr=self.discriminator_base, betas=(0.9, 0.99))
            self.discriminator = optim_wrapper(method.discriminator, adam)
            self.wrapper = JointOptimWrapper(method=self.main, discriminator=self.discriminator)

    def set_rates(self, iteration: int, rate: float) -> None:
        """Learning rates as they are before an iteration; ``rate``: the main one's base rate."""
        for group, own in zip(self.main.param_groups, self.rates, strict=True):
            group['lr'] = own * rate / self.base
        if self.discriminator is not None:
            ((rate,),) = rates_at([iteration], [self.discriminator_base], **self.schedule)
            (group,) = self.discriminator.param_groups
            group['lr'] = rate


@golden('cdda_steps')
def cdda_steps(params: Params, inputs: Params) -> Results:
    stored = inputs['stored_images'], inputs['stored_labels']
    bank = GivenBank(inputs['bank'], *stored)
    with patch.object(DepthBank, 'open', return_value=bank):
        method = build_method(params, inputs)
    entries = published_names(method)
    load_published(entries, inputs['weights'])
    wrapper = optim_wrapper(method, params['optimizer'].plain())
    method.iteration = params['start_iteration']
    calls = record_calls(method.student)
    steps = []
    method.train()
    for i, draws in enumerate(params['draws']):
        if 'block_masks' in inputs:  # numbers 0 and 1 equal their mask
            draws = {**draws, 'grids': [inputs['block_masks'][i]]}
        method.draw = partial(GivenDraws, draws)
        mask = tensor(inputs['mix_masks'][i]).bool()
        seen = observe(method)
        with (
            patch('mmseg_uda.uda.methods.self_training.class_mask', return_value=mask),
            detail_boxes(draws['detail_boxes']),
        ):
            logs = method.backward_passes(method.begin(batch(inputs, i)), wrapper)
        wrapper.step()
        wrapper.zero_grad()
        _, mixed, *_ = calls
        calls.clear()
        seen |= {'mixed_labels': mixed['labels'], 'mixed_weight': mixed['weight']}
        steps.append(seen | {'log': numbers(logs), 'guidance': 'tgt.loss' in logs})
        method.iteration += 1
    results = {name: [step[name] for step in steps] for name in steps[0]}
    bias = 'head.conv_seg.bias' if params['model']['hrda'] is not None else 'conv_seg.bias'
    return results | {
        'norms': {
            name: [norm([v]) for n, v in entries.items() if n.startswith(f'{prefix}.')]
            for name, prefix in (('student', 'model'), ('teacher', 'ema_model'))
        },
        'conv_seg_bias': entries[f'model.decode_head.{bias}'],
    }


def observe(method: UDAMethod) -> dict[str, Any]:
    """Filled during a step: inputs and results of the add-on CDDA."""
    addon, seen = method.addons['cdda'], {}
    reweight, search = type(addon).reweight, type(addon.similarity).search

    def recording_search(tables: Tensor) -> Any:
        match = search(addon.similarity, tables)
        seen['best_index'] = match.rows.tolist()
        seen['mean_similarity'] = match.similarity.tolist()
        seen['present_classes'] = (tables.sum(-1) > 0).sum(1).tolist()
        return match

    def recording_reweight(step: Any, pseudo: Any) -> Any:
        better = reweight(addon, step, pseudo)
        depth = step.batch.target.depth
        seen['pseudo_labels'] = pseudo.labels
        seen['uniform_weight'] = float(pseudo.weight[0, 0, 0])
        seen['weight'] = better.weight
        seen['soft_label_sum'] = soft_labels(addon.guidance.soft, pseudo.labels, depth).sum((1, 2))
        seen['replacement'] = addon.replacements.tolist()
        seen['thresholds'] = list(addon.thresholds(step.iteration))
        return better

    addon.reweight, addon.similarity.search = recording_reweight, recording_search
    return seen
