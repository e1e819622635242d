"""Compare computations that must agree, in float64.

Two ranks and one, windows in chunks and all at once, our formulation and a naive one: each pair
computes the same numbers in another order, so they differ by rounding. In float32 the difference
depends on the processor and the number of threads, and training steps amplify it: a tolerance that
holds on every machine would hide mistakes. In float64 a tight tolerance holds on every machine.

Runs of the same operations in the same order on the same machine, such as a resumed and an
uninterrupted run, are compared bit by bit in float32 instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._pytree import tree_leaves

TOLERANCE = 1e-9


@contextmanager
def double_precision() -> Iterator[None]:
    """Make float64 the type of new networks, random numbers and tensors of Python numbers."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def assert_same(found, expected, name: str = '') -> None:
    """Assert that both are equal up to rounding in float64.

    Args:
        found, expected: tensors, numbers, or lists, tuples or dicts of them. Tensors of floating
            point must be float64.
        name: prefix of the message.
    """
    for leaf in tree_leaves((found, expected)):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            assert leaf.dtype == torch.float64, f'{name} {leaf.dtype} is compared'
    torch.testing.assert_close(
        found, expected, rtol=TOLERANCE, atol=TOLERANCE, msg=lambda text: f'{name} {text}'.strip()
    )
