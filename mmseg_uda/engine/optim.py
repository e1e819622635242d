"""Optimiser set-up: few parameter groups, and autocast without loss scaling."""

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

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


@contextmanager
def _quiet_logger() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
