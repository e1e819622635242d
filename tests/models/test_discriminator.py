import pytest
import torch

from mmseg_uda.models.discriminator import Discriminator


@pytest.mark.parametrize(('size', 'cells'), [((64, 64), (2, 2)), ((96, 160), (3, 5))])
def test_one_score_per_32_pixels(size, cells):
    scores = Discriminator(5, channels=4)(torch.rand(2, 5, *size))
    assert scores.shape == (2, 1, *cells)


def test_keys_are_those_of_published_checkpoints():
    state = Discriminator(19).state_dict()
    assert list(state)[::2] == [f'conv{i}.weight' for i in range(1, 5)] + ['classifier.weight']
    assert [len(value) for value in state.values()][::2] == [64, 128, 256, 512, 1]
