"""Checkpoints that survive a crash and never run code.

Written atomically, verified on reading, read with ``weights_only=True`` and nothing else.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.tensor_files import read_tensors

# Where each network's weights stand in a checkpoint: ours, and those of the published code bases.
PREFIXES = {
    'student': ('student.', 'model.'),
    'teacher': ('teacher.network.', 'ema_model.'),
    'mic_teacher': ('parts.mic.teacher.network.', 'mic.teacher.ema_model.'),
}

# Counts training steps; FADA's frozen networks lack it.
COUNTER = 'num_batches_tracked'
BRANCH = r'^conv2d_list\.(\d+)\.'  # of the published classifier


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
            '(tools/train.py with --resume)'
        ) from error


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


def load_segmentor_weights(
    segmentor: nn.Module, path: str | Path, network: str = 'student'
) -> None:
    """Load one network of a training checkpoint, ours or a published one, into ``segmentor``.

    Accepts a bare state dict of the segmentor too, and the two dictionaries of FADA and SDCA
    (``feature_extractor`` and ``classifier``). Heads that only training uses
    (``auxiliary_head.*``) and batch norms' counters of steps may be absent from either side.

    Args:
        network: ``student``, ``teacher``, or ``mic_teacher``, which MIC has in methods without
            the other.

    Raises:
        UserError: unreadable file, no such network in it, or another architecture.
    """
    checkpoint = load_checkpoint(path)
    if 'feature_extractor' in checkpoint:
        checkpoint = _joined(checkpoint, path)
    state_dict = checkpoint.get('state_dict', checkpoint)
    state_dict = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    weights = _select_network(state_dict, network, path)
    own = segmentor.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith(COUNTER)}
    weights = {n: v for n, v in weights.items() if n in counters or not n.endswith(COUNTER)}
    weights = counters | weights
    if not any(name.startswith('auxiliary_head.') for name in own):
        weights = {n: v for n, v in weights.items() if not n.startswith('auxiliary_head.')}
    load_weights(segmentor, weights, path)


def _joined(checkpoint: dict, path: str | Path) -> dict[str, Tensor]:
    """The one state dict of a backbone and a classifier that were saved apart (FADA, SDCA)."""
    classifier = checkpoint.get('classifier')
    if not isinstance(classifier, dict) or not isinstance(checkpoint['feature_extractor'], dict):
        raise UserError(f'checkpoint {path} lacks weights in feature_extractor or classifier')
    weights = dict(checkpoint['feature_extractor'])
    for name, value in classifier.items():
        name = name.removeprefix('module.')
        weights[re.sub(BRANCH, r'decode_head.aspp_modules.\1.conv.', name)] = value
    return weights


def _select_network(state_dict: dict, network: str, path: str | Path) -> dict:
    for prefix in PREFIXES[network]:
        selected = {
            n.removeprefix(prefix): v for n, v in state_dict.items() if n.startswith(prefix)
        }
        if selected:
            return selected
    if network == 'student' and any(name.startswith('backbone.') for name in state_dict):
        return state_dict
    present = sorted({name.split('.')[0] for name in state_dict if isinstance(name, str)})
    raise UserError(
        f'checkpoint {path} holds no {network}: none of its entries starts with '
        f'{" or ".join(PREFIXES[network])} (found: {", ".join(present[:8])})'
    )
