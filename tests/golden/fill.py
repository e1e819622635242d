"""Weights and inputs generated from a name and a shape, so that golden files store only outputs.

Both the reference and the check generate the same numbers: every array comes from its own PCG64
stream, keyed by the CRC-32 of its name, the seed and (for inputs) the kind of input.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

IGNORE = 255
IMAGE, LABELS = 1, 2  # third word of an input's key; a weight's key has only two words


def _stream(name: str, *words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), *words]))


def fill_array(name: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Value of the state-dict entry ``name``: float32 (counters: int64) of ``shape``.

    The suffix of the name and the number of dimensions determine the scale, so that activations of
    any network stay in range: matrices and kernels by 1/sqrt(fan-in), gains and variances around 1,
    everything else around 0.
    """
    shape = tuple(shape)
    if name.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    normal = _stream(name, seed).standard_normal(shape)
    if name.endswith('running_mean'):
        value = 0.1 * normal
    elif name.endswith('running_var'):
        value = 1 + 0.1 * np.abs(normal)
    elif len(shape) > 1:
        value = normal / np.sqrt(np.prod(shape[1:]))
    elif name.endswith('weight'):
        value = 1 + 0.1 * normal
    else:
        value = 0.1 * normal
    return np.asarray(value, np.float32)


def fill_state_dict(state: Mapping[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """Fill the entries of ``state`` (names, shapes and types) with :func:`fill_array`."""
    return {
        name: torch.as_tensor(fill_array(name, entry.shape, seed)).to(entry.dtype)
        for name, entry in state.items()
    }


def image(name: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """N(0, 1) in float32: normalised images, features or logits of any shape."""
    return _stream(name, seed, IMAGE).standard_normal(tuple(shape)).astype(np.float32)


def labels(
    name: str,
    shape: Sequence[int],
    num_classes: int,
    seed: int = 0,
    ignore: float = 0.05,
    cell: int = 8,
) -> np.ndarray:
    """Label maps (..., H, W), int64, constant on squares of ``cell`` pixels.

    A share ``ignore`` of the squares is 255.
    """
    *leading, height, width = shape
    grid = (*leading, -(-height // cell), -(-width // cell))
    stream = _stream(name, seed, LABELS)
    squares = stream.integers(0, num_classes, grid)
    squares[stream.random(grid) < ignore] = IGNORE
    pixels = squares.repeat(cell, axis=-2).repeat(cell, axis=-1)
    return pixels[..., :height, :width].astype(np.int64)
