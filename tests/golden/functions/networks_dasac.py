"""Networks and parameter groups of DA-SAC."""

from unittest.mock import patch

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.models import Segmentor
from mmseg_uda.models.losses import upscale
from tests.golden.functions.optimisation import optim_wrapper
from tests.golden.networks_dasac import (
    DASAC_NETWORKS,
    dasac_config,
    dasac_name,
    empty_network,
    published_state,
    schedule_config,
)
from tests.golden.registry import Params, Results, Unsupported, golden, label_maps, tensor


@golden('network_pass')
def network_pass(params: Params, inputs: Params) -> Results:
    """Evaluates the teacher of a last snapshot, and trains the student of a baseline's snapshot."""
    dtype = {'float32': torch.float32, 'float64': torch.float64}[params['dtype']]
    network = empty_network(params['network'], params['num_classes'])
    state = published_state(network, inputs['weights'])
    images, labels = tensor(inputs['image']).to(dtype), label_maps(inputs['labels'])
    load(network, 'teacher', final_snapshot(state))
    with torch.no_grad():
        evaluated = network.to(dtype).eval().supervise(images, labels)
    load(network, 'student', dict(model=prefixed('module.backbone.', state)))
    trained = network.train().supervise(images, labels)
    trained.losses['decode.loss_seg'].backward()
    gradients = {dasac_name(network, n): p.grad.flatten() for n, p in network.named_parameters()}
    size = images.shape[2:]
    results = {
        'eval.logits': evaluated.logits,
        'eval.logits_full': upscale(evaluated.logits, size, network.align_corners),
        'eval.loss': evaluated.losses['decode.loss_seg'],
        'train.logits_full': upscale(trained.logits, size, network.align_corners).detach(),
        'train.loss': trained.losses['decode.loss_seg'].detach(),
        'train.gradient_norms': torch.stack([g.norm() for g in gradients.values()]),
    }
    results |= {f'train.gradient.{name}': gradient for name, gradient in gradients.items()}
    buffers = network.named_buffers()
    return results | {f'after_train.{dasac_name(network, n)}': value for n, value in buffers}


def final_snapshot(teacher: dict[str, Tensor]) -> dict[str, dict]:
    """The content of a last snapshot of DA-SAC; all weights of its student are -1."""
    student = {name: torch.tensor(-1.0).expand(value.shape) for name, value in teacher.items()}
    state = dict(running_conf=torch.zeros(19), slow_init=torch.ones(1))
    state |= prefixed('backbone.', student) | prefixed('slow_net.', teacher)
    return dict(model=prefixed('module.', state), opt={}, score=0.5, epoch=1)


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f'{prefix}{name}': value for name, value in state.items()}


def load(network: Segmentor, which: str, content: dict[str, dict]) -> None:
    """Load a network from the content of a checkpoint."""
    with patch('mmseg_uda.compat.checkpoints.load_checkpoint', return_value=content):
        load_segmentor_weights(network, 'a published snapshot', which)


@golden('optimizer_groups')
def optimizer_groups(params: Params, inputs: Params) -> Results:
    """Both training stages have the same optimiser; there is no schedule of the rate."""
    if params['stage'] not in (1, 3):
        raise Unsupported(f'stage {params["stage"]!r} trains nothing')
    results = {}
    for name in params['networks']:
        network = f'{name}_bn' if f'{name}_bn' in DASAC_NETWORKS else name
        with torch.device('meta'):
            segmentor = MODELS.build(dasac_config(network, num_classes=19))
        groups = dict(zip(GROUPS, groups_of(segmentor), strict=True))
        groups = [groups[group] for group in params['group_order']]
        rates = [group['lr'] for group in groups]
        results[f'lr.{name}'] = [rates] * params['iterations']
        results[f'weight_decay.{name}'] = [group['weight_decay'] for group in groups]
    return results


# The order of the published optimiser's groups, and so of its state.
GROUPS = 'old weights', 'old biases', 'new weights', 'new biases'


def groups_of(segmentor: Segmentor) -> list[dict]:
    """The groups of our optimiser, in order, with ``names`` (published) of their parameters.

    Raises:
        Unsupported: our config has a schedule of the learning rate.
    """
    schedule = schedule_config(segmentor)
    if schedule.param_scheduler:
        raise Unsupported(f'the learning rate in {schedule.filename} is not constant')
    wrapper = schedule.optim_wrapper.to_dict()
    optimizer = wrapper['optimizer'] | dict(paramwise_cfg=wrapper['paramwise_cfg'])
    built = optim_wrapper(nn.ModuleDict({'student': segmentor}), optimizer).optimizer
    names = {parameter: dasac_name(segmentor, n) for n, parameter in segmentor.named_parameters()}
    return [
        group | dict(names=[names[parameter] for parameter in group['params']])
        for group in built.param_groups
    ]


def norm_layers(segmentor: Segmentor) -> list[str]:
    """Published names of the batch norms, in order."""
    modules = segmentor.named_modules()
    return [dasac_name(segmentor, n) for n, module in modules if isinstance(module, _BatchNorm)]
