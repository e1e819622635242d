"""Checkpoints: written atomically, and verified and loaded without running stored code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.tensor_files import read_tensors


def save_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """Write ``checkpoint`` to ``path`` atomically: a failed write leaves the old file unchanged.

    Raises:
        UserError: the file cannot be written, e.g. because the disk is full.
    """
    try:
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
    except UserError as error:
        raise UserError(
            f'{error}. Earlier checkpoints are unchanged: run the same command again to resume '
            'from them (mmseg-uda train needs --resume)'
        ) from error


def first_not_finite(checkpoint: dict) -> str | None:
    """Return the dotted name of a floating-point tensor that holds NaN or Inf, else ``None``.

    Synchronises once with each device that holds tensors.
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
    """Yield the dotted name and the tensor of each tensor in nested dicts, lists and tuples."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(item, f'{name}.{key}' if name else str(key))


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file into CPU memory, see :func:`mmseg_uda.tensor_files.read_tensors`.

    Raises:
        UserError: the file is missing or damaged, or holds anything other than a dictionary of
            tensors and plain values.
    """
    checkpoint = read_tensors(path, 'copy or download it again, or use an earlier checkpoint')
    if not isinstance(checkpoint, dict):
        raise UserError(f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dictionary')
    return checkpoint


def load_weights(module: nn.Module, state_dict: dict[str, Tensor], origin: str | Path) -> None:
    """Load ``state_dict`` into ``module``; names and shapes must match exactly.

    Args:
        origin: the checkpoint file, named in the error message.

    Raises:
        UserError: entries are missing, unknown or of another shape; the message names the first of
            each kind.
    """
    if mismatches := list(_mismatches(module.state_dict(), state_dict)):
        raise UserError(
            f'checkpoint {origin} does not fit this architecture: {", ".join(mismatches)}; '
            'use the config that it was trained with'
        )
    module.load_state_dict(state_dict)


def _mismatches(own: dict[str, Tensor], loaded: dict[str, Tensor]) -> Iterator[str]:
    """Describe the entries of ``loaded`` that differ from ``own``, one phrase for each kind."""
    missing = [name for name in own if name not in loaded]
    unknown = [name for name in loaded if name not in own]
    shapes = [
        f'{name}: {tuple(value.shape)} in the file, {tuple(own[name].shape)} in the model'
        for name, value in loaded.items()
        if name in own and isinstance(value, Tensor) and value.shape != own[name].shape
    ]
    for names, kind in (
        (missing, 'missing entries'),
        (unknown, 'unknown entries'),
        (shapes, 'entries of another shape'),
    ):
        if names:
            yield f'{len(names)} {kind} (first: {names[0]})'
