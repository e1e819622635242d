"""Learning rates, parameter groups, the mean teacher."""

import mmengine.optim
import torch
from mmseg.registry import MODELS
from torch import nn

import mmseg_uda.engine.optim  # noqa: F401 - registers the constructor
from mmseg_uda.engine.schedules import WarmupPolyLR
from mmseg_uda.uda.components.teacher import Teacher
from tests.golden.networks import segmentor_config
from tests.golden.registry import Params, Results, golden, tensor


@golden('learning_rate')
def learning_rate(params: Params, inputs: Params) -> Results:
    names = 'max_iters', 'power', 'min_lr', 'warmup_iters', 'warmup_ratio'
    schedule = {name: params[name] for name in names}
    return {'lr': rates_at(params['iterations'], params['base_lr'], **schedule)}


def rates_at(
    iterations: list[int], rates: list[float], max_iters: int, **schedule: float
) -> list[list[float]]:
    """Learning rates of groups with base ``rates`` at the given iterations."""
    groups = [{'params': [nn.Parameter(torch.zeros(1))], 'lr': rate} for rate in rates]
    optimizer = torch.optim.SGD(groups)
    scheduler = WarmupPolyLR(optimizer, end=max_iters, **schedule)
    optimizer.step()  # torch warns where schedules move before their optimiser
    rows = []
    for iteration in iterations:  # the rates are a function of the iteration alone
        scheduler.last_step = scheduler._global_step = iteration - 1
        scheduler.step()
        rows.append([group['lr'] for group in optimizer.param_groups])
    return rows


@golden('poly_learning_rate')
def poly_learning_rate(params: Params, inputs: Params) -> Results:
    schedule = dict(max_iters=params['max_iters'], power=params['power'])
    rows = rates_at(params['iterations'], params['base_lr'], **schedule)
    return {'lr_times_1e4': 1e4 * torch.tensor(rows, dtype=torch.float64)}


@golden('vanilla_learning_rate')
def vanilla_learning_rate(params: Params, inputs: Params) -> Results:
    rates = [params['base_lr'] * factor for factor in params['factors']]
    rows = rates_at(
        params['iterations'],
        rates,
        max_iters=params['num_steps'],
        power=params['power'],
        warmup_iters=params['warm_up'],
        warmup_ratio=0.1,
        decay_in_warmup=False,
    )
    return {'lr_times_1e4': 1e4 * torch.tensor(rows, dtype=torch.float64)}


def optim_wrapper(module: nn.Module, optimizer: dict) -> mmengine.optim.OptimWrapper:
    """Our optimiser set-up of ``{'type': 'AdamW', ..., 'paramwise_cfg': {...}}``."""
    optimizer = dict(optimizer)
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


def rates_and_decays(module: nn.Module, optimizer: dict) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter, by its name."""
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optim_wrapper(module, optimizer).optimizer.param_groups
        for parameter in group['params']
    }
    return {name: settings[id(parameter)] for name, parameter in module.named_parameters()}


@golden('parameter_groups')
def parameter_groups(params: Params, inputs: Params) -> Results:
    method = nn.ModuleDict({'model': MODELS.build(segmentor_config(params['model']))})
    rows = rates_and_decays(method, params['optimizer'].plain())
    return {
        'lr_and_decay': [rows[name] for name in params['parameters']],
        'groups': len(rows),
    }


class Module(nn.Module):
    """A module with the given parameters and buffers, under names with dots."""

    def __init__(self, entries: dict[str, torch.Tensor], buffers: set[str]) -> None:
        super().__init__()
        for name, value in entries.items():
            *path, last = name.split('.')
            owner = self
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, nn.Module())
                owner = getattr(owner, part)
            if name in buffers:
                owner.register_buffer(last, value.clone())
            else:
                owner.register_parameter(last, nn.Parameter(value.clone()))


@golden('teacher_update')
def teacher_update(params: Params, inputs: Params) -> Results:
    """A parameter of the student has a row per iteration; its buffers have the teacher's shape."""
    given: dict[str, dict] = {'student': {}, 'teacher': {}}
    for name, value in inputs.items():
        network, _, entry = name.partition('.')
        given[network][entry] = tensor(value)
    rows, start = given['student'], given['teacher']
    buffers = {name for name in start if rows[name].shape == start[name].shape}
    student = Module({n: v if n in buffers else v[0] for n, v in rows.items()}, buffers)
    teacher = Teacher(student, params['alpha'])
    teacher.network.load_state_dict(start)

    history: dict[str, list] = {}
    for iteration in range(params['steps']):
        for name, parameter in student.named_parameters():
            parameter.data.copy_(rows[name][iteration])
        teacher.update(student, iteration)
        for name, parameter in teacher.network.named_parameters():
            history.setdefault(name, []).append(parameter.clone())
    results = {name: torch.stack(values) for name, values in history.items()}
    return {
        'teacher': results | dict(teacher.network.named_buffers()),
        'requires_grad': [p.requires_grad for p in teacher.network.parameters()],
    }


@golden('teacher_momentum')
def teacher_momentum(params: Params, inputs: Params) -> Results:
    """The value a teacher of 1 has after a step when the student is 0."""
    student = nn.Linear(1, 1).double()
    nn.init.zeros_(student.weight)
    teacher, momentum = Teacher(student, params['alpha']), []
    for iteration in params['iterations']:
        nn.init.ones_(teacher.network.weight)
        teacher.update(student, iteration)
        momentum.append(teacher.network.weight.item())
    return {'momentum': momentum}
