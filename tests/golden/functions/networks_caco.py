"""Networks and parameter groups of CaCo and ADVENT."""

import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.models import MultiLevelSegmentor
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
