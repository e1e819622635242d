"""Complete iterations of CaCo's warm-up and fine-tuning."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch, UDABatch, Views
from mmseg_uda.engine.schedules import WarmupPolyLR
from mmseg_uda.models import Segmentor
from mmseg_uda.models.losses import segmentation_loss, upscale
from mmseg_uda.uda.components.category_learning import Reference
from mmseg_uda.uda.method import UDAMethod
from tests.golden.functions.advent import batch, gradients
from tests.golden.functions.caco import state
from tests.golden.functions.methods import gradient_norm
from tests.golden.functions.optimisation import rates_at
from tests.golden.networks import load
from tests.golden.networks_caco import caco_config, caco_name, optimizer_section
from tests.golden.registry import Params, Results, golden, label_maps, tensor

Logs = dict[str, Tensor]


@golden('caco_warmup_steps')
def warmup_steps(params: Params, inputs: Params) -> Results:
    method = MODELS.build(warmup_config(params))
    load(method.student, inputs['weights'], caco_name)
    method.student_loaded()
    section = optimizer_section(params) | dict(clip_grad=dict(max_norm=params['clip_norm']))
    wrapper = build_optim_wrapper(method, section)
    scheduler = WarmupPolyLR(wrapper, end=params['max_iters'], power=params['power'])
    terms = dict(contrast='caco.loss_contrast', caco='caco.')
    run = Run(method, wrapper, terms, dict(contrast=params['contrast_weight']))
    for i, percent in enumerate(params['ratios_percent']):
        step = method.begin(batch(inputs, i))
        step.draws = SimpleNamespace(percentage=lambda low, high, given=percent: given)
        with recorded_contrasts(method) as contrasts:
            logs = run.backward(step)
        run.add(
            loss_seg_main=logs['decode.loss_seg'],
            loss_caco=total(logs, 'caco.'),
            loss_contrast=contrasts[0],
            n_valid=int(logs['caco.keys']),
        )
        run.step()
        scheduler.step()
    network = method.teacher.network.state_dict().items()
    ema = {f'ema.{caco_name(name)}': value for name, value in network}
    moved = {f'moved_ema.{caco_name(n)}': value - run.start[n] for n, value in network}
    return run.results() | state(method.categories.dictionary) | ema | moved


@contextmanager
def recorded_contrasts(method: UDAMethod) -> Iterator[list[Tensor]]:
    """Collect the contrast of each query pass, also where it is not used."""
    contrasts: list[Tensor] = []
    categories = method.categories
    query_pass = categories.query_pass

    def record(student: Segmentor, reference: Reference, draws: Any) -> Any:
        query, losses = query_pass(student, reference, draws)
        with torch.no_grad():
            contrasts.append(categories.contrast(query, reference, student.align_corners))
        return query, losses

    with patch.object(categories, 'query_pass', record):
        yield contrasts


def warmup_config(params: Params) -> dict[str, Any]:
    """The method of a case."""
    segmentor = caco_config(params['network'], params['num_classes'])
    segmentor['level_weights'] = dict(aux=params['weight_aux'])
    dictionary = dict(capacity=params['slots'], clamp=params['clamp'])
    contrast = dict(dictionary=dictionary, weight=params['contrast_weight'])
    teacher = dict(alpha=params['ema'])
    return dict(type='CaCo', segmentor=segmentor, teacher=teacher, contrast=contrast)


@golden('vanilla_steps')
def vanilla_steps(params: Params, inputs: Params) -> Results:
    method = MODELS.build(retraining_config(params))
    load(method.student, inputs['weights'], caco_name)
    method.student_loaded()
    wrapper = build_optim_wrapper(method, optimizer_section(params))
    rates = [group['lr'] for group in wrapper.param_groups]
    weight = params['weight_aux']
    run = Run(method, wrapper, dict(contrast='caco.loss_contrast'), dict(contrast=weight))
    for i, iteration in enumerate(params['iterations']):
        (values,) = rates_at(
            [iteration],
            rates,
            max_iters=params['num_steps'],
            power=params['power'],
            warmup_iters=params['warm_up'],
            warmup_ratio=0.1,
            decay_in_warmup=False,
        )
        for group, rate in zip(wrapper.param_groups, values, strict=True):
            group['lr'] = rate
        with (
            recorded(method.student, 'train_pass') as passes,
            recorded(method.balance, 'update') as class_weights,
        ):
            logs = run.backward(method.begin(pairs(inputs, i)))
        labels = label_maps(inputs['target_labels'][i])
        ((target,), (class_weight,)) = passes, class_weights
        main = upscale(target.logits, labels.shape[1:], align_corners=True)
        run.add(
            loss_seg1=logs['decode.aux.loss_seg'] / weight,
            loss_seg2=logs['decode.loss_seg'],
            loss_contrast=logs['caco.loss_contrast'] / weight,
            val_loss=segmentation_loss(main, labels, average='valid')[0],
            lr=min(values),
            n_valid=int(logs['caco.keys']),
            class_weight=class_weight,
        )
        run.step()
    return run.results() | state(method.dictionary)


def retraining_config(params: Params) -> dict[str, Any]:
    """The published weights of the auxiliary level and of the contrast are one option."""
    segmentor = caco_config(params['network'], params['num_classes']) | dict(average='all')
    segmentor['level_weights'] = dict(aux=params['weight_aux'])
    return dict(
        type='CategoryRetraining',
        segmentor=segmentor,
        teacher=dict(alpha=params['ema']),
        dictionary=dict(capacity=params['slots']),
        weight=params['weight_aux'],
        balance=dict(largest=params['max_value']),
    )


def pairs(inputs: Params, i: int) -> UDABatch:
    """Augmented and plain crops, and target images, of the ``i``-th iteration."""
    names = ('images', 'images_augmented', 'target_images')
    plain, augmented, target = (tensor(inputs[name][i]) for name in names)
    labels = label_maps(inputs['labels_augmented'][i])
    source = DomainBatch(augmented, labels)
    source.views = dict(plain=Views(plain.unsqueeze(1), torch.empty(len(plain), 1, 2, 3)))
    return UDABatch(source, DomainBatch(target))


@contextmanager
def recorded(owner: Any, name: str) -> Iterator[list]:
    """Collect the results of a method of ``owner``."""
    results, function = [], getattr(owner, name)

    def record(*args: Any) -> Any:
        results.append(function(*args))
        return results[-1]

    with patch.object(owner, name, record):
        yield results


def total(logs: Logs, prefix: str) -> Tensor:
    return sum(v for name, v in logs.items() if name.startswith(prefix) and 'loss' in name)


class Run:
    """The steps of a case, and what is recorded of them.

    Args:
        terms: name of a term -> prefix of its losses; the gradient of each alone is recorded in the
            first iteration in which all have one.
        weights: of terms whose gradient is recorded without their weight.
    """

    def __init__(
        self,
        method: UDAMethod,
        wrapper: OptimWrapper,
        terms: dict[str, str],
        weights: dict[str, float],
    ) -> None:
        self.method, self.wrapper = method.train(), wrapper
        self.terms, self.weights = terms, weights
        self.start = {name: v.clone() for name, v in method.student.state_dict().items()}
        self.rows: dict[str, list] = {}
        self.once: Results = {}

    def backward(self, step) -> Logs:
        """Back-propagate the passes of a step; returns its losses."""
        logs, backward = {}, []
        for losses in self.method.passes(step):
            if set(self.terms) - self.once.keys():
                self.record_terms(losses)
            loss, _ = self.method.parse_losses(losses)
            loss.backward()
            backward.append(float(loss.detach()))
            logs |= {name: value.detach() for name, value in losses.items()}
        if not self.rows:
            self.once |= gradients(self.method) | dict(backward=backward)
        self.add(grad_norm=gradient_norm(self.method.student))
        return logs

    def record_terms(self, losses: Logs) -> None:
        """The gradients of the terms alone."""
        values = {term: total(losses, prefix) for term, prefix in self.terms.items()}
        if not all(isinstance(value, Tensor) for value in values.values()):
            return
        for term, value in values.items():
            value = value / self.weights.get(term, 1)
            of_term = gradients_of(value, self.method.student)
            self.once |= {f'gradient_{term}.{name}': g for name, g in of_term.items()}
            self.once |= {f'iteration_of_grad_{term}': self.method.iteration, term: True}

    def add(self, **row: Any) -> None:
        """Add a row of results of an iteration."""
        for name, value in row.items():
            value = value.tolist() if isinstance(value, Tensor) else float(value)
            self.rows.setdefault(name, []).append(value)

    def step(self) -> None:
        self.wrapper.step()
        self.wrapper.zero_grad()
        self.method.iteration += 1

    def results(self) -> Results:
        state = self.method.student.state_dict().items()
        moved = {f'moved.{caco_name(n)}': value - self.start[n] for n, value in state}
        return self.rows | self.once | moved


def gradients_of(loss: Tensor, network: nn.Module) -> dict[str, Tensor]:
    """Gradients of a loss alone, by published names of the parameters."""
    named = {n: p for n, p in network.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, named.values(), retain_graph=True, allow_unused=True)
    pairs = zip(named, found, strict=True)
    return {caco_name(name): g for name, g in pairs if g is not None}
