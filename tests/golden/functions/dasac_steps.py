"""Training steps of DA-SAC: the baseline with ABN, consistency training, several processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch, UDABatch, Views
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.models import Segmentor
from mmseg_uda.models.forward_pass import ForwardPass
from mmseg_uda.models.norm_eval import NormEval
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.methods.dasac import DASAC
from mmseg_uda.uda.step import Labelled, Losses, Step
from tests.golden.functions.dasac import (
    fuse_by_entropy,
    fuse_by_mean,
    teacher_difference,
)
from tests.golden.functions.networks_dasac import GROUPS, load, prefixed
from tests.golden.functions.optimisation import optim_wrapper
from tests.golden.inputs import Weights
from tests.golden.networks_dasac import dasac_config, published_state, schedule_config
from tests.golden.registry import Params, Results, Unsupported, golden, label_maps, only, tensor

POOLING = dict(avg_pool=fuse_by_mean, minentropy_pool=fuse_by_entropy)
LOSSES = 'focal_ce_conf', 'focal_ce'
PADDING = -1


@golden('dasac_steps_stage1')
def baseline_steps(params: Params, inputs: Params) -> Results:
    only(params, stage=1)
    segmentor = dasac_config(params['network'], params['num_classes'])
    addons = dict(abn=dict(type='AdaptiveBatchNorm'))
    method = MODELS.build(dict(type='SourceOnly', segmentor=segmentor, addons=addons))
    wrapper = prepare(method, params, inputs['weights'])
    results = Rows()
    for i, source in enumerate(sources(inputs, params)):
        images = tensor(inputs['target_images'][i]).to(source.images)
        labels = label_maps(inputs['target_labels'][i])
        step = method.begin(UDABatch(source, DomainBatch(images)))
        logs = method.backward_passes(step, wrapper)
        wrapper.step()
        wrapper.zero_grad()
        results.add(
            source_loss=logs['decode.loss_seg'],
            parameters=moments(method.student.parameters()),
            statistics_after_source=statistics(method.student),
        )
        with recorded_passes(method.student) as passes:
            method.after_step(step)
        (target,) = passes
        results.add(
            target_loss=log_only_loss(method.student, target.logits, labels),
            statistics_after_target=statistics(method.student),
        )
        method.iteration += 1
    return results.lists


class Rows:
    """Lists of results, to which each iteration adds a row."""

    def __init__(self) -> None:
        self.lists: dict[str, list] = {}

    def add(self, **row: Any) -> None:
        for name, value in row.items():
            array = np.asarray(value.detach() if isinstance(value, Tensor) else value)
            self.lists.setdefault(name, []).append(array.copy())


@contextmanager
def recorded_passes(student: Segmentor) -> Iterator[list[ForwardPass]]:
    """Collect the student's passes without labels."""
    passes: list[ForwardPass] = []
    train_pass = student.train_pass

    def record(images: Tensor) -> ForwardPass:
        passes.append(train_pass(images))
        return passes[-1]

    with patch.object(student, 'train_pass', record):
        yield passes


def prepare(method: UDAMethod, params: Params, weights: Weights) -> OptimWrapper:
    """Load the weights, set the type and the mode; the optimiser with the case's rates."""
    network = method.student
    state = published_state(network, weights)
    load(network, 'student', dict(model=prefixed('module.backbone.', state)))
    method.student_loaded()
    method.to(dtype_of(params)).train()
    schedule = schedule_config(network).optim_wrapper.to_dict()
    given = params['optimizer'].plain()
    groups = given.pop('groups')
    optimizer = schedule['optimizer'] | given | dict(paramwise_cfg=schedule['paramwise_cfg'])
    wrapper = optim_wrapper(method, optimizer)
    for name, group in zip(GROUPS, wrapper.optimizer.param_groups, strict=True):
        group |= groups[name.replace(' ', '_')]
    return wrapper


def dtype_of(params: Params) -> torch.dtype:
    return {'float32': torch.float32, 'float64': torch.float64}[params['dtype']]


def sources(inputs: Params, params: Params) -> list[DomainBatch]:
    pairs = zip(inputs['source_images'], inputs['source_labels'], strict=True)
    dtype = dtype_of(params)
    return [DomainBatch(tensor(images).to(dtype), label_maps(labels)) for images, labels in pairs]


def moments(values: Iterator[Tensor]) -> list[list[float]]:
    """(sum, L2 norm) of each tensor."""
    return [[float(value.sum()), float(value.norm())] for value in map(torch.detach, values)]


def statistics(network: nn.Module) -> list[list[float]]:
    """Moments of the running statistics of all batch norms."""
    return moments(buffer for buffer in network.buffers() if buffer.is_floating_point())


@torch.no_grad()
def log_only_loss(student: Segmentor, logits: Tensor, labels: Tensor) -> Tensor:
    return student.label_losses('target', logits, labels, None)['target.loss_seg']


class GivenDASAC(DASAC):
    """DA-SAC that records what it computes; with published variants of the loss and the fusion.

    Args:
        network: config of the student.
        options: of the case, with published names.
    """

    def __init__(self, network: dict, options: Params, **others: Any) -> None:
        teacher = dict(alpha=options['network_momentum'], interval=options['update_interval'])
        same = 'target_weight', 'prior_momentum', 'upper', 'lower', 'beta', 'focal_power'
        own = {name: options[name] for name in same}
        super().__init__(segmentor=network, teacher=teacher, **own, **others)
        self.loss, pooling = options['loss'], options['pooling']
        if self.loss not in LOSSES or pooling not in POOLING:
            raise Unsupported(f'no loss {self.loss!r} or no pooling {pooling!r}')
        self.fusion: Callable[[Tensor, Tensor, Tensor], Tensor] = POOLING[pooling]

    def run(
        self, batch: UDABatch, target_labels: Tensor, back: Tensor, wrapper: OptimWrapper
    ) -> Losses:
        """One step; labels (B, T, H, W) of the views, -1 where these are padded.

        Args:
            back: (B, T, 2, 3), from the views to the images.
        """
        self.padded, self.back, self.fused = target_labels == PADDING, back, []
        with patch('mmseg_uda.uda.methods.dasac.fuse_views', self.fuse):
            logs = self.backward_passes(self.begin(batch), wrapper)
        self.refined = torch.cat(self.fused)
        wrapper.step()
        wrapper.zero_grad()
        self.iteration += 1
        return logs

    def fuse(self, probabilities: Tensor, geometry: Tensor) -> Tensor:
        """The fusion of an image's views without their padding."""
        padded, back = (of_all[len(self.fused)] for of_all in (self.padded, self.back))
        seen = probabilities.masked_fill(padded.unsqueeze(1), 0)
        self.fused.append(self.fusion(seen, geometry, back))
        return self.fused[-1]

    def weigh(self, images: Tensor, confidence: Tensor, labels: Tensor) -> Labelled:
        labelled = super().weigh(images, confidence, labels)
        if self.loss == 'focal_ce':
            labelled.weight = self.target_weight * self.prior.focal_weight(self.focal_power)[labels]
        self.labelled = labelled
        return labelled

    @torch.no_grad()
    def label_views(self, clean: Views, images: Tensor) -> Labelled:
        labelled = super().label_views(clean, images)
        labelled.labels.masked_fill_(self.padded.flatten(0, 1), IGNORE)
        return labelled

    def target_losses(self, step: Step, target: ForwardPass) -> Losses:
        self.logits = target.logits.detach()
        return super().target_losses(step, target)

    def self_loss(self, logs: Losses) -> Tensor:
        return logs['tgt.decode.loss_seg'] / self.target_weight


@golden('dasac_steps_stage3')
def consistency_steps(params: Params, inputs: Params) -> Results:
    only(params, stage=3)
    network = dasac_config(params['network'], params['num_classes'])
    network['backbone']['norm_eval'] = True
    if network['decode_head']['type'] == 'FCN8Head':
        network['decode_head']['norm_eval'] = True
    method = GivenDASAC(network, params['options'])
    wrapper = prepare(method, params, inputs['weights'])
    results, student = Rows(), method.student
    for i, source in enumerate(sources(inputs, params)):
        labels = label_maps(inputs['target_labels'][i])
        views = (tensor(inputs[name][i]).to(source.images) for name in ('clean', 'noisy'))
        target, before = target_of(*views, inputs['affine'][i]), deepcopy(student)
        back = tensor(inputs['inverse'][i])
        logs = method.run(UDABatch(source, target), labels, back, wrapper)
        seen = labels.masked_fill(labels == PADDING, IGNORE).flatten(0, 1)
        labelled, refined = method.labelled.labels, method.refined
        counted = labelled.masked_fill(labelled == IGNORE, student.num_classes).flatten()
        results.add(
            source_loss=logs['decode.loss_seg'],
            target_loss=log_only_loss(student, method.logits, seen),
            self_loss=method.self_loss(logs),
            teacher_difference=teacher_difference(method.teacher.network, before),
            prior=method.prior.prior,
            label_counts=counted.bincount(minlength=student.num_classes + 1),
            labels=labelled,
            refined_sum=refined.sum((0, 2, 3)),
            confidence_mean=refined.amax(1).mean(),
            parameters=moments(student.parameters()),
        )
    teacher = method.teacher.network.parameters()
    return results.lists | {'teacher_parameters': moments(teacher)}


def target_of(clean: Tensor, noisy: Tensor, geometry: np.ndarray) -> DomainBatch:
    """A target batch with views (B, T, 3, H, W); its images are not used."""
    views = dict(clean=Views(clean, tensor(geometry)), noisy=Views(noisy, tensor(geometry)))
    return DomainBatch(clean[:, 0], views=views)


@MODELS.register_module()
class TinyBackbone(NormEval):
    """The first layers of the network of the cases with several processes."""

    norm_eval = True

    def __init__(self) -> None:
        super().__init__()
        convolution = nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False)
        self.body = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.body(images)]


class Processes(GivenDASAC):
    """The target step of several processes, one after the other, as published.

    Each has its own views, class prior and mean of the confidence; before each step all take the
    prior of the first process. The fusion is that of all views.

    Args:
        number: of processes.
        options: of :class:`GivenDASAC`.
    """

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(target_only=True, **options)
        self.number = number

    def passes(self, step: Step) -> Iterator[Losses]:
        self.priors: list[Tensor] = []
        if self.number == 1:
            yield from super().passes(step)
            self.priors.append(self.prior.prior)
            return
        with torch.no_grad():
            predicted = self.predict(step.batch.target.views['clean'])
        first, size = self.prior, len(self.padded.flatten(0, 1)) // self.number
        for rank in range(self.number):
            self.prior = deepcopy(first)
            part = slice(rank * size, (rank + 1) * size)
            yield self.learn_part(step, part, *(values[part] for values in predicted))
            self.priors.append(self.prior.prior)
            if rank == 0:
                following = self.prior
        self.prior = following

    def learn_part(
        self, step: Step, part: slice, means: Tensor, confidence: Tensor, labels: Tensor
    ) -> Losses:
        """The losses of a process, whose views are ``part`` of all; divided by the processes."""
        self.prior.update(means)
        images = step.batch.target.views['noisy'].images.flatten(0, 1)[part]
        with torch.no_grad():
            labelled = self.weigh(images, confidence, labels)
            labelled.labels.masked_fill_(self.padded.flatten(0, 1)[part], IGNORE)
        losses = self.student.supervise(images, labelled.labels, labelled.weight).losses
        loss = losses['decode.loss_seg'] / self.number
        return {f'{len(self.priors)}.loss': loss}

    def losses(self, logs: Losses) -> list[float]:
        """The loss of each process."""
        if self.number == 1:
            return [float(self.self_loss(logs))]
        factor = self.number / self.target_weight
        return [factor * float(logs[f'{rank}.loss']) for rank in range(self.number)]


@golden('data_parallel_steps')
def data_parallel_steps(params: Params, inputs: Params) -> Results:
    results: Results = {}
    for number in params['processes']:
        method = tiny_method(number, params['options'], inputs['weights'])
        wrapper, rows = optim_wrapper(method, params['optimizer'].plain()), Rows()
        for i in range(params['iterations']):
            clean, noisy = (torch.cat([*map(tensor, inputs[n][i])]) for n in ('clean', 'noisy'))
            if clean.shape[:2] != (params['groups'], params['views']):
                raise ValueError(f'{clean.shape[:2]} groups and views')
            labels = torch.cat([*map(label_maps, inputs['labels'][i])])
            target = target_of(clean, noisy, inputs['affine'][i])
            back = tensor(inputs['inverse'][i])
            logs = method.run(UDABatch(DomainBatch(clean[:, 0]), target), labels, back, wrapper)
            bias = method.student.decode_head.conv_seg.bias
            rows.add(
                loss=method.losses(logs),
                prior=torch.stack(method.priors),
                bias=bias.expand(number, -1),
                refined=method.refined,
            )
        stacked = {name: np.stack(values) for name, values in rows.lists.items()}
        results.setdefault('refined', stacked.pop('refined'))
        results |= {f'{name}.{number}': rows.swapaxes(0, 1) for name, rows in stacked.items()}
    return results


def tiny_method(number: int, options: Params, weights: Weights) -> Processes:
    """The method for so many processes, with the case's weights."""
    head = dict(type='FCNHead', in_channels=8, channels=8, num_convs=0, concat_input=False)
    head |= dict(in_index=0, num_classes=19, dropout_ratio=0.0, align_corners=True)
    network = dict(type='Segmentor', backbone=dict(type='TinyBackbone'), decode_head=head)
    method = Processes(number, network=network, options=options)
    state = method.student.state_dict()
    names = {own: tiny_name(own) for own in state}
    filled = weights.fill({names[own]: value for own, value in state.items()})
    method.student.load_state_dict({own: filled[name] for own, name in names.items()})
    method.student_loaded()
    return method.train()


def tiny_name(own: str) -> str:
    return own.removeprefix('backbone.').replace('decode_head.conv_seg', 'body.3')
