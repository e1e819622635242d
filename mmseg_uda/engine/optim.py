"""Optimiser set-up: few parameter groups, autocast without loss scaling, several networks."""

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger
from mmengine.optim import (
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    OptimWrapperDict,
    build_optim_wrapper,
)
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn

from mmseg_uda.errors import UserError

# What mmengine's constructor reads of ``paramwise_cfg``.
RULES = {
    'bias_decay_mult',
    'bias_lr_mult',
    'bypass_duplicate',
    'custom_keys',
    'dcn_offset_lr_mult',
    'dwconv_decay_mult',
    'flat_decay_mult',
    'norm_decay_mult',
}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class UDAOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's rules (``paramwise_cfg``), with one group for all parameters of equal settings.

    One group per parameter, as the default makes them, keeps fused and foreach optimisers from
    updating many parameters in one kernel. Frozen networks (teacher, ImageNet encoder) get none.

    Raises:
        UserError: an optimiser that nobody knows, or a rule that nobody reads.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        for rule in self.paramwise_cfg.keys() - RULES:
            close = difflib.get_close_matches(rule, RULES, 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            raise UserError(f'optim_wrapper.paramwise_cfg: nobody reads {rule}{hint}')
        kind = self.optimizer_cfg.get('type')
        if isinstance(kind, str) and kind not in OPTIMIZERS:
            raise UserError(f'optim_wrapper.optimizer: there is no optimiser {kind}')

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None
    ) -> None:
        if prefix:  # the recursion of the default
            super().add_params(params, module, prefix, is_dcn_module)
            return
        with _quiet_logger():  # it logs a line for every parameter
            super().add_params(params, module, prefix, is_dcn_module)
        groups: dict[tuple, dict] = {}
        for group in params:
            settings = {name: value for name, value in group.items() if name != 'params'}
            key = tuple(sorted(settings.items()))
            groups.setdefault(key, {'params': [], **settings})['params'] += group['params']
        params[:] = groups.values()


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs forward passes in bfloat16 where it is safe; parameters and gradients stay float32.

    bfloat16 has float32's range, so there is no loss scaling, no host round trip and nothing to
    store; it works on every device (mmengine's ``AmpOptimWrapper`` needs a GPU).
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


class JointOptimWrapper(OptimWrapperDict):
    """Optimisers of several networks that learn in the same steps; used as if it were one."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with self._first.optim_context(model):
            yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        self._first.backward(loss, **kwargs)

    def step(self, **kwargs) -> None:
        for wrapper in self.values():
            wrapper.step(**kwargs)

    @property
    def _first(self) -> OptimWrapper:
        return next(self.values())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class JointOptimWrapperConstructor:
    """An optimiser for each named network of a method, e.g. ``student`` and ``discriminator``.

    Args:
        optim_wrapper_cfg: name of a sub-module, or ``method`` for all of it -> config of its
            optimiser wrapper. A parameter may have several. Autocast, if wanted, is that of the
            first.

    Raises:
        UserError: a section that names no sub-module; parameters that no section covers.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg is not None:
            raise UserError('optim_wrapper.paramwise_cfg: give it to one of the networks')
        self.sections = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> JointOptimWrapper:
        networks = {'method': model, **dict(model.named_children())}
        for name, section in self.sections.items():
            if name not in networks or not isinstance(section, dict):
                raise UserError(
                    f'optim_wrapper.{name} must be the section of a network of '
                    f'{type(model).__name__}, one of: {", ".join(networks)}'
                )
        wrappers = {
            name: build_optim_wrapper(networks[name], section)
            for name, section in self.sections.items()
        }
        covered = {
            id(parameter)
            for wrapper in wrappers.values()
            for group in wrapper.param_groups
            for parameter in group['params']
        }
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and id(parameter) not in covered:
                raise UserError(f'optim_wrapper: no section has the parameters of {name}')
        return JointOptimWrapper(**wrappers)


def uses_autocast(optim_wrapper: OptimWrapper) -> bool:
    """Whether forward passes run in bfloat16."""
    if isinstance(optim_wrapper, OptimWrapperDict):
        return any(map(uses_autocast, optim_wrapper.values()))
    return isinstance(optim_wrapper, AutocastOptimWrapper)


@contextmanager
def _quiet_logger() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
