"""Networks and parameter groups of CaCo and ADVENT."""

from functools import partial
from unittest.mock import patch

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.evaluation.views import Views, input_scores, mean_probabilities
from mmseg_uda.models import ForwardPass, MultiLevelSegmentor
from tests.golden.functions.optimisation import optim_wrapper
from tests.golden.networks import load
from tests.golden.networks_caco import caco_config, caco_name, schedule_config
from tests.golden.registry import Params, Results, golden, tensor


@golden('multilevel_network')
@torch.no_grad()
def multilevel_network(params: Params, inputs: Params) -> Results:
    network = MODELS.build(caco_config(params['network'], params['num_classes']))
    load(network, inputs['weights'], caco_name)
    output = network.train(params['train']).train_pass(tensor(inputs['image']))
    buffers = {f'after_train.{caco_name(n)}': value for n, value in network.named_buffers()}
    levels = {'main': output.levels['main'], 'aux': output.levels['aux']}
    return levels | buffers | {'features': output.features}


@golden('optimizer_listing')
def optimizer_listing(params: Params, inputs: Params) -> Results:
    with torch.device('meta'):
        network = MODELS.build(caco_config(params['network']))
    return {'listing': listing(network)}


def listing(network: MultiLevelSegmentor) -> dict[str, list]:
    """Published name of a parameter -> factor of its rate, and updates per step, in our config."""
    wrapper = schedule_config().optim_wrapper.to_dict()
    settings = wrapper['optimizer'] | dict(paramwise_cfg=wrapper['paramwise_cfg'])
    groups = optim_wrapper(nn.ModuleDict({'student': network}), settings).optimizer.param_groups
    names = {parameter: caco_name(name) for name, parameter in network.named_parameters()}
    return {
        names[parameter]: [f'{group["lr"] / settings["lr"]:g}x', group['visits']]
        for group in groups
        for parameter in group['params']
    }


@golden('view_fusion')
def view_fusion(params: Params, inputs: Params) -> Results:
    """Fuses given outputs of the network as a test with four views does."""
    results = {}
    for name, factor in params['aux_weight'].items():
        scores, labels = fused_views(factor, inputs, tuple(params['output_size'])).max(0)
        results |= {f'{name}.score': scores, f'{name}.labels': labels}
    return results


def fused_views(factor: float, inputs: Params, size: tuple[int, int]) -> Tensor:
    """Sum (C, *size) of the class probabilities of four views, by the factor of ``aux``."""
    fusion = dict(mode='whole', direct=True, probabilities=True, level_factors=dict(aux=factor))
    with torch.device('meta'):
        network = MODELS.build(caco_config('deeplabv2_multilevel') | dict(test_cfg=fusion))
    given = [
        {level: tensor(inputs[f'{view}.{level}']) for level in ('main', 'aux')}
        for view in ('s1', 's1flip', 's2', 's2flip')
    ]
    outputs = iter([ForwardPass([], levels['main'], partial(dict, levels)) for levels in given])
    views = Views((1.0, 1.2), flip=True)
    with patch.object(network, 'whole_pass', lambda images: next(outputs)):
        scores = input_scores(network, torch.zeros(1, 3, 8, 8), [size], views)
        (mean,) = mean_probabilities(network, scores)
    return len(given) * mean
