import pytest
import torch

from mmseg_uda.models.discriminator import Discriminator, PixelDiscriminator
from tests.precision import assert_same


@pytest.mark.parametrize(('size', 'cells'), [((64, 64), (2, 2)), ((96, 160), (3, 5))])
def test_one_score_per_32_pixels(size, cells):
    scores = Discriminator(5, channels=4)(torch.rand(2, 5, *size))
    assert scores.shape == (2, 1, *cells)


def test_keys_are_those_of_published_checkpoints():
    state = Discriminator(19).state_dict()
    assert list(state)[::2] == [f'conv{i}.weight' for i in range(1, 5)] + ['classifier.weight']
    assert [len(value) for value in state.values()][::2] == [64, 128, 256, 512, 1]


def test_each_cell_has_scores_of_the_classes_of_both_domains(float64):
    network = PixelDiscriminator(8, 5)
    features = torch.rand(2, 8, 6, 9)
    scores = network(features)
    assert scores.shape == (2, 10, 6, 9)
    with torch.no_grad():
        network.cls2.bias += 1
    change = network(features) - scores
    assert not change[:, :5].any()
    assert_same(change[:, 5:], torch.ones_like(change[:, 5:]))
    assert {name.rpartition('.')[0] for name in network.state_dict()} == {
        'D.0',
        'D.2',
        'cls1',
        'cls2',
    }
