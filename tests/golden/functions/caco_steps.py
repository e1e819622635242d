"""Complete iterations of CaCo's warm-up."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.engine.schedules import WarmupPolyLR
from mmseg_uda.models import Segmentor
from mmseg_uda.uda.components.category_learning import Reference
from mmseg_uda.uda.method import UDAMethod
from tests.golden.functions.advent import batch, gradients
from tests.golden.functions.caco import state
from tests.golden.functions.methods import gradient_norm
from tests.golden.networks import load
from tests.golden.networks_caco import caco_config, caco_name, optimizer_section
from tests.golden.registry import Params, Results, golden

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
            self.rows.setdefault(name, []).append(float(value))

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
