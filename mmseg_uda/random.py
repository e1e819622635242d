"""Counter-based randomness: random draws depend on a key, never on earlier draws.

The key of a training sample's augmentation is (seed, position in the sample stream), that of a step
is (seed, iteration). The results therefore do not depend on the number of loader workers or ranks,
or on whether a run was resumed.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def generator(*key: int) -> np.random.Generator:
    """Return a NumPy generator that depends only on the non-negative integers in ``key``."""
    return np.random.default_rng(_entropy(key))


@contextmanager
def counter_random(*key: int) -> Iterator[None]:
    """Context in which Python's, NumPy's and torch's global CPU generators are seeded by ``key``.

    For code that uses the global generators, such as mmseg's transforms. Their previous states are
    restored on exit.
    """
    import torch

    python_state, numpy_state, torch_state = (
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
    )
    torch.default_generator.manual_seed(_seed_host(*key))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


def seed_all(*key: int, rank: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices) by ``key``.

    NumPy's and torch's also depend on the rank. Python's does not: it is used for draws that must
    be the same on all ranks (HRDA's detail crop).
    """
    import torch

    torch.manual_seed(_seed_host(*key, rank))
    random.seed(int(np.random.SeedSequence(_entropy(key)).generate_state(1)[0]))


def _seed_host(*key: int) -> int:
    """Seed Python's and NumPy's global generators; return a seed for torch."""
    words = np.random.SeedSequence(_entropy(key)).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    return int(words[3])


def _entropy(key: tuple[int, ...]) -> tuple[int, ...]:
    """Prefix the key with its length: NumPy ignores trailing zeros of a key."""
    return (len(key), *key)
