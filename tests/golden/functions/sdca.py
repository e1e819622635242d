"""Networks and complete training steps of SDCA and of FADA, its predecessor."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.method import UDAMethod
from tests.golden.functions.contrast import distribution_results, start
from tests.golden.functions.methods import gradient_norm
from tests.golden.functions.optimisation import rates_at
from tests.golden.networks import CONFIGS, load, sdca_config, sdca_name
from tests.golden.registry import Params, Results, Unsupported, golden, label_maps, tensor

HALVES = {'feature_extractor': 'backbone', 'classifier': 'decode_head'}


@golden('feature_and_classifier')
@torch.no_grad()
def feature_and_classifier(params: Params, inputs: Params) -> Results:
    network = MODELS.build(sdca_config(params['network'], params['num_classes']))
    load(network, inputs['weights'], sdca_name)
    network.train(params['train'])
    stages = record_stages(network.backbone)
    images = tensor(inputs['image'])
    (features,) = network.features(images)
    logits = network.decode([features])
    stages['features'] = features
    return {
        'features': features,
        'features_mean': features.mean(),
        'features_std': features.std(),
        'features_abs_sum': features.abs().sum(),
        'logits': logits,
        'logits_full': upscale(logits, images.shape[2:], network.align_corners),
        'channel_mean': {name: stage.mean(dim=(0, 2, 3)) for name, stage in stages.items()},
        'shape': {name: list(stage.shape) for name, stage in stages.items()},
        'after_train': dict(network.named_buffers()),
    }


def record_stages(backbone: nn.Module) -> dict[str, Tensor]:
    """Filled by a forward: outputs of the backbone's children, ``layer<i>`` if numbered."""
    stages: dict[str, Tensor] = {}

    def record(name: str, module: nn.Module, arguments: tuple, output: Tensor) -> None:
        stages[name] = output.clone()

    for name, child in backbone.named_children():
        child.register_forward_hook(partial(record, f'layer{name}' if name.isdigit() else name))
    return stages


@golden('sdca_steps')
def training_steps(params: Params, inputs: Params) -> Results:
    dtype = {'float32': torch.float32, 'float64': torch.float64}[params['dtype']]
    method = sdca_method(params, inputs)
    method.to(dtype).train()
    lr = params['lr'].plain()
    section = student_section(lr)
    section.optimizer |= {name: params[name] for name in ('momentum', 'weight_decay')}
    wrapper = build_optim_wrapper(method, section)
    results: Results = {'log': [], 'gradient_norm': []}
    for i, batch in enumerate(batches(inputs, dtype)):
        set_rates(wrapper, lr, i)
        logs = method.backward_passes(method.begin(batch), wrapper)
        results['log'].append(sdca_log(params, logs))
        results['gradient_norm'].append(gradient_norms(method))
        results.setdefault('gradient', flattened(method, lambda p: p.grad))
        wrapper.step()
        wrapper.zero_grad()
    if params['momentum']:
        moments = wrapper.optimizer.state
        results['momentum'] = flattened(method, lambda p: moments[p]['momentum_buffer'])
    state = method.student.state_dict()
    final = {sdca_name(name): thinned(value) for name, value in state.items()}
    if hasattr(method, 'distributions'):
        for level, statistics in distribution_results(method.distributions).items():
            final |= {f'{level}.{name}': value for name, value in statistics.items()}
    return results | {'final': final}


def thinned(values: Tensor, number: int = 256) -> Tensor:
    """At most ``number`` values at equal distances, like the stored values of the final state."""
    return values.flatten()[:: max(values.numel() // number, 1)][:number]


def sdca_method(params: Params, inputs: Params) -> UDAMethod:
    """The method of one of SDCA's stages; only the last one has ``options``."""
    segmentor = sdca_config(
        params['network'], params['num_classes'], lovasz_weight=params['lovasz_weight']
    )
    if params['stage'] == 'sdca':
        options = params['options'].plain()
        method = MODELS.build(dict(type='SDCA', segmentor=segmentor, **options))
        for level, statistics in method.distributions.levels.items():
            start(statistics, inputs, f'initial.{level}.')
    elif params['stage'] in ('source', 'self_supervised'):
        method = MODELS.build(dict(type='SourceOnly', segmentor=segmentor))
    else:
        raise Unsupported(f'there is no stage {params["stage"]!r}')
    load(method.student, inputs['weights'], sdca_name)
    return method


def student_section(lr: dict[str, float]) -> Config:
    """SGD of our schedule with the case's learning rates."""
    section = Config.fromfile(CONFIGS / '_base_' / 'schedules' / 'sgd_poly_20k.py').optim_wrapper
    section.optimizer.lr = lr['base_lr']
    section.paramwise_cfg.custom_keys['decode_head'].lr_mult = lr['classifier_mult']
    return section


def batches(inputs: Params, dtype: torch.dtype = torch.float32) -> list[UDABatch]:
    labels = [label_maps(array) for array in inputs['source_labels']]
    source = [tensor(array).to(dtype) for array in inputs['source_images']]
    target: list[Any] = [None] * len(source)
    if 'target_images' in inputs:
        target = [DomainBatch(tensor(array).to(dtype)) for array in inputs['target_images']]
    return [
        UDABatch(DomainBatch(images, label), other)
        for images, label, other in zip(source, labels, target, strict=True)
    ]


def set_rates(wrapper: OptimWrapper, lr: dict[str, float], iteration: int) -> None:
    """Learning rates as they are before an iteration."""
    ((factor,),) = rates_at([iteration], [1.0], lr['max_iters'], power=lr['power'])
    for group in wrapper.optimizer.param_groups:
        group['lr'] = group.setdefault('base_lr', group['lr']) * factor


def sdca_log(params: Params, logs: dict[str, Tensor]) -> dict[str, float]:
    """The sums that the reference logs: contrast and Lovász terms without their weights."""
    lovasz = logs.get('decode.loss_lovasz', torch.zeros(()))
    supervised = logs['decode.loss_seg'] + lovasz
    figures = {'loss_seg': supervised, 'loss_sup': supervised}
    if params['lovasz_weight']:
        figures['loss_lov'] = lovasz / params['lovasz_weight']
    for name, weight in (('feat', 'feature_weight'), ('out', 'output_weight')):
        if f'loss_{name}' in logs:
            total = logs[f'loss_{name}'] + logs[f'tgt.loss_{name}']
            figures[f'loss_{name}'] = total / params['options'][weight]
    return {name: float(value) for name, value in figures.items()}


def gradient_norms(method: UDAMethod) -> dict[str, float]:
    return {half: gradient_norm(getattr(method.student, own)) for half, own in HALVES.items()}


def flattened(method: UDAMethod, value: Callable[[nn.Parameter], Tensor | None]) -> Results:
    """``value`` of each trained parameter, by its published name."""
    return {
        sdca_name(name): value(parameter).flatten().clone()
        for name, parameter in method.student.named_parameters()
        if parameter.requires_grad
    }


@golden('adversarial_steps')
def adversarial_steps(params: Params, inputs: Params) -> Results:
    segmentor = sdca_config(
        params['network'], params['num_classes'], temperature=params['temperature']
    )
    options = dict(weight=params['weight'], cap=params['cap'])
    method = MODELS.build(dict(type='ClassAdversarial', segmentor=segmentor, **options))
    for network in (method.student, method.discriminator):
        load(network, inputs['weights'], sdca_name)
    method.train()
    lr = params['lr'].plain()
    other = Config.fromfile(CONFIGS / '_base_' / 'uda' / 'fada.py').discriminator
    other.optimizer = params['discriminator'].plain()
    sections = dict(student=student_section(lr), discriminator=other)
    wrapper = build_optim_wrapper(
        method, dict(constructor='JointOptimWrapperConstructor', **sections)
    )
    results: Results = {'log': [], 'gradient_norm': []}
    for i, batch in enumerate(batches(inputs)):
        for own in wrapper.values():
            set_rates(own, lr, i)
        logs = method.backward_passes(method.begin(batch), wrapper)
        results['log'].append(
            {
                'loss_seg': float(logs['decode.loss_seg']),
                'loss_adv_tgt': float(logs['G_trg.loss']),
                'loss_D_src': float(logs['D_src.loss']),
                'loss_D_tgt': float(logs['D_trg.loss']),
                'loss_D': float(logs['D_src.loss'] + logs['D_trg.loss']),
            }
        )
        results['gradient_norm'].append(gradient_norms(method))
        wrapper.step()
        wrapper.zero_grad()
    state = method.discriminator.state_dict()
    return results | {'final': {name: value.flatten() for name, value in state.items()}}
