"""Fixtures of all tests.

Computations that must agree are compared in float64 (see ``tests/precision.py``): a test takes the
fixture ``float64`` as its first argument and compares with ``assert_same``.
"""

from pathlib import Path

import pytest

from tests.tiny_training import make_world, write_config


@pytest.fixture(scope='session')
def world(tmp_path_factory) -> Path:
    """A tiny converted toy world; read-only."""
    folder = tmp_path_factory.mktemp('world')
    make_world(folder)
    return folder


@pytest.fixture(scope='session')
def tiny_config(world) -> str:
    """A DAFormer config that trains in about a second."""
    return write_config(world / 'tiny.py', world)


@pytest.fixture
def float64():
    """Networks and tensors created in the test are float64."""
    from tests.precision import double_precision

    with double_precision():
        yield


@pytest.fixture
def one_thread():
    """One thread, as bit-by-bit comparisons need the same number of threads everywhere."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
