import torch
from torch import nn

from mmseg_uda.models import DilatedVGG16


def test_keys_shapes_and_size_are_the_published_ones():
    network = DilatedVGG16()
    convs = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31]
    assert list(network.state_dict()) == [f'{i}.{e}' for i in convs for e in ('weight', 'bias')]
    assert sum(p.numel() for p in network.parameters()) == 28_872_512
    dilations = {i: network[i].dilation[0] for i in convs if network[i].dilation != (1, 1)}
    assert dilations == {23: 2, 25: 2, 27: 2, 29: 4, 31: 4}


def test_the_map_has_an_eighth_of_the_sides_rounded_down():
    with torch.device('meta'):
        (features,) = DilatedVGG16()(torch.empty(2, 3, 47, 70))
    assert features.shape == (2, 1024, 5, 8)


def test_nothing_is_random_in_training():
    assert {type(m) for m in DilatedVGG16()} == {nn.Conv2d, nn.ReLU, nn.MaxPool2d}
