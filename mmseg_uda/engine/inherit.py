"""Starting a training with the optimiser's state of an earlier one."""

from itertools import chain
from pathlib import Path
from typing import Any

from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg_uda.compat.checkpoints import optimizer_state
from mmseg_uda.errors import UserError


def inherit_optimizer(wrapper: OptimWrapper, model: nn.Module, path: str | Path) -> None:
    """Load the state of each parameter, such as momentum buffers, from a checkpoint.

    Learning rates, weight decays and all other settings stay those of the config. Parameters are
    matched by their positions in the parameter groups.

    Args:
        wrapper: a new optimiser of ``model``.
        model: a method.
        path: file of the checkpoint, ours or one of DA-SAC.

    Raises:
        UserError: unreadable file, no state, several optimisers, another optimiser, or the
            parameter groups of another network.
    """
    optimizer, advice = getattr(wrapper, 'optimizer', None), 'set load_optimizer=False'
    if optimizer is None:
        raise UserError(
            f'load_optimizer: {type(model).__name__} has several optimisers, of which the state of '
            f'one cannot be loaded: {advice}'
        )
    saved = optimizer_state(path)
    if missing := _numbers(optimizer) - saved['param_groups'][0].keys():
        raise UserError(
            f'load_optimizer: {path} has the state of another optimiser than '
            f'{type(optimizer).__name__} (it has no {min(missing)}): use the optimiser of that '
            f'training, or {advice}'
        )
    if problem := _mismatch(optimizer, saved, model):
        raise UserError(
            f'load_optimizer: the parameter groups of {path} do not fit this config ({problem}): '
            f'use the network and optim_wrapper.paramwise_cfg of that training, or {advice}'
        )
    groups = [
        own | {'params': group['params']}
        for own, group in zip(optimizer.param_groups, saved['param_groups'], strict=True)
    ]
    optimizer.load_state_dict({'state': saved['state'], 'param_groups': groups})


def _numbers(optimizer: Optimizer) -> set[str]:
    """Names of the optimiser's numeric settings; they differ between types of optimisers."""
    return {
        name
        for name, value in optimizer.defaults.items()
        if isinstance(value, int | float | tuple) and not isinstance(value, bool)
    }


def _mismatch(optimizer: Optimizer, saved: dict[str, Any], model: nn.Module) -> str | None:
    """How the saved groups differ from the optimiser's in sizes and shapes, if they do."""
    sizes = [
        [len(group['params']) for group in groups]
        for groups in (saved['param_groups'], optimizer.param_groups)
    ]
    if sizes[0] != sizes[1]:
        return f'parameters per group: {sizes[0]} in the file, {sizes[1]} here'
    names = {parameter: name for name, parameter in model.named_parameters()}
    ids, parameters = (
        chain.from_iterable(group['params'] for group in groups)
        for groups in (saved['param_groups'], optimizer.param_groups)
    )
    for id, parameter in zip(ids, parameters, strict=True):
        for value in saved['state'].get(id, {}).values():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                shapes = f'{tuple(value.shape)} in the file, {tuple(parameter.shape)} here'
                return f'{names[parameter]}: {shapes}'
    return None
