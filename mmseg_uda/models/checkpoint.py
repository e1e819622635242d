"""Checkpoints that survive a crash and never run code.

Written atomically, verified on reading, read with ``weights_only=True`` and nothing else.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.tensor_files import read_tensors


def save_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """Write ``checkpoint`` so that ``path`` holds either all of it or what it held before.

    Raises:
        UserError: it cannot be written, e.g. because the disk is full.
    """
    try:
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
    except UserError as error:
        raise UserError(
            f'{error}. Earlier checkpoints are untouched: the same command goes on from them '
            '(mmseg-uda train with --resume)'
        ) from error


def first_not_finite(checkpoint: dict) -> str | None:
    """Dotted name of a floating-point tensor with NaN or Inf in it, None if all are finite.

    One host round trip for each device that holds tensors.
    """
    devices: dict[torch.device, dict[str, Tensor]] = {}
    for name, tensor in _tensors(checkpoint):
        if tensor.is_floating_point():
            devices.setdefault(tensor.device, {})[name] = tensor
    for tensors in devices.values():
        finite = torch.stack([tensor.isfinite().all() for tensor in tensors.values()])
        for name, is_finite in zip(tensors, finite.tolist(), strict=True):
            if not is_finite:
                return name
    return None


def _tensors(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts and lists with their dotted names."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(item, f'{name}.{key}' if name else str(key))


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file into CPU memory, see :func:`read_tensors`.

    Raises:
        UserError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    checkpoint = read_tensors(path, 'fetch it again, or use an earlier one')
    if not isinstance(checkpoint, dict):
        raise UserError(f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dictionary')
    return checkpoint


def load_weights(module: nn.Module, state_dict: dict[str, Tensor], origin: str | Path) -> None:
    """Load ``state_dict`` into ``module``; every entry must fit.

    Raises:
        UserError: entries are missing, left over or of another shape; names the first of them.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    shapes = [
        f'{name}: {tuple(value.shape)} in the file, {tuple(own[name].shape)} in the model'
        for name, value in state_dict.items()
        if name in own and isinstance(value, Tensor) and value.shape != own[name].shape
    ]
    problems = [
        f'{len(names)} {what} (first: {names[0]})'
        for names, what in (
            (missing, 'entries missing'),
            (unexpected, 'unknown entries'),
            (shapes, 'entries of another shape'),
        )
        if names
    ]
    if problems:
        raise UserError(
            f'checkpoint {origin} does not fit this architecture: {", ".join(problems)}; '
            'use the config that it was trained with'
        )
    module.load_state_dict(state_dict)
