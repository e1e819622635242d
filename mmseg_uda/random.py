"""Counter-based randomness: what is drawn depends on a key, never on what was drawn before.

A training sample's augmentation is keyed by (seed, position in the sample stream), a step's draws
by (seed, iteration). The number of loader workers, of ranks, or a resume therefore change nothing.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def generator(*key: int) -> np.random.Generator:
    """A NumPy generator that depends on the non-negative integers of ``key`` alone."""
    return np.random.default_rng(_entropy(key))


@contextmanager
def counter_random(*key: int) -> Iterator[None]:
    """Inside, Python's, NumPy's global and torch's CPU generator start from ``key``.

    For code that draws from the global generators, such as mmseg's transforms. Their former states
    come back on exit.
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
    """Seed Python's, NumPy's and torch's (every device's) global generators from ``key``.

    NumPy's and torch's also depend on the rank. Python's does not: what all ranks must draw alike
    (HRDA's detail crop) comes from it.
    """
    import torch

    torch.manual_seed(_seed_host(*key, rank))
    random.seed(int(np.random.SeedSequence(_entropy(key)).generate_state(1)[0]))


def _seed_host(*key: int) -> int:
    """Seed Python's and NumPy's global generators; returns a seed for torch."""
    words = np.random.SeedSequence(_entropy(key)).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    return int(words[3])


def _entropy(key: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy takes keys that differ in trailing zeros for equal; their length tells them apart."""
    return (len(key), *key)
