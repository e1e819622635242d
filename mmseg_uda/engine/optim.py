"""Optimisers: few parameter groups, globs, autocast without loss scaling, several networks."""

import difflib
import inspect
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

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

# Options in ``paramwise_cfg`` that mmengine's constructor knows.
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
    """mmengine's rules (``paramwise_cfg``) with globs, and one group for equal settings.

    mmengine makes one group per parameter, which keeps fused and foreach optimisers from updating
    many parameters in one kernel. Here parameters of equal settings share a group. Frozen networks
    (teacher, ImageNet encoder) are in no group.

    A key of ``custom_keys`` with ``*``, ``?`` or ``[`` is a shell-style glob. It must match the
    whole rest of a parameter's full name from some module boundary on: ``decode_head*.bias``
    matches ``student.decode_head.norm.bias``, but neither ``student.decode_head.norm.weight`` nor
    ``student.my_decode_head.bias``. ``*`` also matches dots. Any other key is mmengine's: it
    matches a parameter whose full name contains it. Of all keys that match a parameter, plain or
    glob, the longest applies (as it is written; among equally long ones the first in alphabetical
    order), and no other rule then affects the parameter.

    ``bias_lr_mult`` leaves out the biases of normalisation layers; a glob takes them too::

        paramwise_cfg=dict(custom_keys={'decode_head*.bias': dict(lr_mult=2.0, decay_mult=0.0)})

    Other options of a key, such as ``visits`` of ``RepeatedSGD``, are those of the optimiser.

    Raises:
        UserError: an unknown optimiser, rule or option of a key, or a glob that matches no
            parameter.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        for rule in self.paramwise_cfg.keys() - RULES:
            close = difflib.get_close_matches(rule, RULES, 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            raise UserError(f'optim_wrapper.paramwise_cfg: {rule} is not a known option{hint}')
        kind = self.optimizer_cfg.get('type')
        if isinstance(kind, str) and kind not in OPTIMIZERS:
            raise UserError(f'optim_wrapper.optimizer: {kind} is not a known optimiser')
        if isinstance(kind, str):
            self._check_group_options(kind)

    def _check_group_options(self, kind: str) -> None:
        """Refuse options of ``custom_keys`` that an optimiser of this type would ignore."""
        parameters = inspect.signature(OPTIMIZERS.get(kind)).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        known = {'lr_mult', 'decay_mult', *parameters} - {'params'}
        for key, options in self.paramwise_cfg.get('custom_keys', {}).items():
            for option in options.keys() - known:
                raise UserError(
                    f'optim_wrapper.paramwise_cfg.custom_keys: {key} has {option}, which is no '
                    f'option of {kind}; it has {", ".join(sorted(known))}'
                )

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None
    ) -> None:
        if prefix:  # called by mmengine for a sub-module
            super().add_params(params, module, prefix, is_dcn_module)
            return
        with _quiet_logger():  # mmengine logs a line for every parameter
            super().add_params(params, module, prefix, is_dcn_module)
        self._apply_globs(params, module)
        groups: dict[tuple, dict] = {}
        for group in params:
            settings = {name: value for name, value in group.items() if name != 'params'}
            key = tuple(sorted(settings.items()))
            groups.setdefault(key, {'params': [], **settings})['params'] += group['params']
        params[:] = groups.values()

    def _apply_globs(self, params: list[dict], module: nn.Module) -> None:
        """Replace the settings of the parameters whose longest key is a glob.

        Args:
            params: groups of one parameter each.
        """
        custom_keys = self.paramwise_cfg.get('custom_keys', {})
        if not any(map(_is_glob, custom_keys)):
            return
        names = {parameter: name for name, parameter in module.named_parameters()}
        _check_globs(custom_keys, list(names.values()))
        by_length = sorted(sorted(custom_keys), key=len, reverse=True)  # mmengine's order
        for group in params:
            (parameter,) = group['params']
            matching = (key for key in by_length if _matches(key, names[parameter]))
            key = next(matching, '')
            if _is_glob(key):
                group.clear()
                group.update(self._settings(custom_keys[key]), params=[parameter])

    def _settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a group from an entry of ``custom_keys``, as mmengine makes them."""
        settings = {'lr': self.base_lr * options.get('lr_mult', 1.0)}
        if self.base_wd is not None:
            settings['weight_decay'] = self.base_wd * options.get('decay_mult', 1.0)
        return settings | dict(options)


def _is_glob(key: str) -> bool:
    return re.search(r'[*?[]', key) is not None


def _matches(key: str, name: str) -> bool:
    """Whether a key of ``custom_keys`` matches a parameter's full name."""
    if _is_glob(key):
        return any(fnmatchcase(rest, key) for rest in _rests(name))
    return key in (name if '.' in name else f'.{name}')  # mmengine's name of a root parameter


def _rests(name: str) -> list[str]:
    """A parameter's full name from every module boundary on: ``a.b.c``, ``b.c``, ``c``."""
    parts = name.split('.')
    return ['.'.join(parts[start:]) for start in range(len(parts))]


def _check_globs(keys: Iterable[str], names: Sequence[str]) -> None:
    for key in filter(_is_glob, keys):
        if not any(_matches(key, name) for name in names):
            known = sorted({rest for name in names for rest in _rests(name)})
            close = difflib.get_close_matches(key, known, 3)
            hint = f'; close names: {", ".join(close)}' if close else ''
            raise UserError(
                f'optim_wrapper.paramwise_cfg.custom_keys: no parameter matches {key}{hint}'
            )


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs forward passes in bfloat16 where it is safe; parameters and gradients stay float32.

    bfloat16 has the range of float32, so no loss scaling, no device-to-host synchronisation and no
    further state is needed. It works on every device (mmengine's ``AmpOptimWrapper`` needs a GPU).
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


class JointOptimWrapper(OptimWrapperDict):
    """Optimisers of several networks that are updated in the same steps, used like a single one."""

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
    """Builds an optimiser for each network of a method, e.g. ``student`` and ``discriminator``.

    Args:
        optim_wrapper_cfg: name of a sub-module, or ``method`` for the whole method -> config of an
            optimiser wrapper. A parameter may be in several. The first one decides on autocast.

    Raises:
        UserError: a section is not named after a sub-module, or a parameter is in no section.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg is not None:
            raise UserError('optim_wrapper.paramwise_cfg: move it into the section of a network')
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
                raise UserError(f'optim_wrapper: no section covers the parameter {name}')
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
