"""Learning rates over time, and which parameters get which rate and decay."""

import mmengine.optim
import torch
from mmseg.registry import MODELS
from torch import nn

import mmseg_uda.engine.optim  # noqa: F401 - registers the constructor
from mmseg_uda.engine.schedules import WarmupPolyLR

from ..cases import Case
from ..networks import segmentor_config
from . import Results, family


@family('daformer', 'lr_')
def learning_rate(case: Case) -> Results:
    params = case.params
    base = params.get('base_lr', params.get('lr'))
    rates = base if isinstance(base, list) else [base]
    rows = rates_at(params['iterations'], rates, params)
    return {'lr': rows if isinstance(base, list) else [rate for (rate,) in rows]}


def rates_at(iterations: list[int], rates: list[float], params: dict) -> list[list[float]]:
    """Learning rates of groups with base ``rates`` at the given iterations."""
    groups = [{'params': [nn.Parameter(torch.zeros(1))], 'lr': rate} for rate in rates]
    optimizer = torch.optim.SGD(groups)
    schedule = WarmupPolyLR(
        optimizer,
        end=params['max_iters'],
        power=params.get('power', 1.0),
        min_lr=params.get('min_lr', params.get('lr_min', 0.0)),
        warmup_iters=params['warmup_iters'] if params.get('warmup') else 0,
        warmup_ratio=params.get('warmup_ratio', 1.0),
    )
    optimizer.step()  # torch warns where schedules move before their optimiser
    rows = {}
    for iteration in range(max(iterations) + 1):
        rows[iteration] = [group['lr'] for group in optimizer.param_groups]
        schedule.step()
    return [rows[iteration] for iteration in iterations]


@family('daformer', 'param_groups')
def parameter_groups(case: Case) -> Results:
    network = segmentor_config(case.name.removeprefix('param_groups_'))
    method = nn.ModuleDict({'model': MODELS.build(network)})
    optimizer = optim_wrapper(method, case.params['optimizer']).optimizer
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    rows = {name: settings[id(parameter)] for name, parameter in method.named_parameters()}
    return {
        'lr_and_decay': [rows[name] for name in case.params['parameters']],
        'params.groups': len(rows),
    }


def optim_wrapper(module: nn.Module, config: dict) -> mmengine.optim.OptimWrapper:
    """Our optimiser set-up of ``{'type': 'AdamW', ..., 'paramwise_cfg': {...}}``."""
    optimizer = dict(config)
    paramwise = optimizer.pop('paramwise_cfg', {})
    return mmengine.optim.build_optim_wrapper(
        module,
        dict(
            type='OptimWrapper',
            constructor='UDAOptimWrapperConstructor',
            optimizer=optimizer,
            paramwise_cfg=paramwise,
        ),
    )
