import random

import numpy as np
import torch

from mmseg_uda.random import counter_random, generator, seed_all


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_draws_depend_on_the_key_alone():
    with counter_random(1, 2):
        first = draw()
    with counter_random(1, 3):
        other = draw()
    with counter_random(1, 2):
        again = draw()
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_the_surroundings_do_not_notice():
    seed_all(0, rank=0)
    expected = [draw(), draw()]
    seed_all(0, rank=0)
    found = [draw()]
    with counter_random(5):
        draw()
    assert found + [draw()] == expected


def test_generators_of_different_keys_are_unrelated():
    draws = [generator(*key).random() for key in ((0,), (0, 0), (0, 1), (1, 0))]
    assert len(set(draws)) == 4


def test_ranks_share_what_python_draws():
    draws = []
    for rank in (0, 1):
        seed_all(3, 7, rank=rank)
        draws.append((random.random(), np.random.random(), float(torch.rand(()))))
    (python, numpy, torch_), others = draws
    assert python == others[0] and numpy != others[1] and torch_ != others[2]
