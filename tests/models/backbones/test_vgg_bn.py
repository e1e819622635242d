import pytest
import torch
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.models import DilatedVGG16BN, VGG16BNPools, load_pretrained_backbone

POOLS = (6, 13, 23, 33, 43)  # torchvision's positions


def convolutions(network):
    return {i: layer for i, layer in enumerate(network) if isinstance(layer, nn.Conv2d)}


def test_dilations_of_the_deeplab_form():
    with torch.device('meta'):
        network = DilatedVGG16BN()
    dilations = {i: conv.dilation[0] for i, conv in convolutions(network).items()}
    dilated = {33: 2, 36: 2, 39: 2, 42: 4, 44: 4}
    assert {i: d for i, d in dilations.items() if d > 1} == dilated
    norms = [i for i, layer in enumerate(network) if isinstance(layer, nn.BatchNorm2d)]
    assert norms == [i + 1 for i in dilations if i < 42]


def test_positions_with_all_pools_are_torchvisions():
    with torch.device('meta'):
        network = VGG16BNPools()
    assert tuple(i for i, m in enumerate(network) if isinstance(m, nn.MaxPool2d)) == POOLS
    convs = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    assert list(convolutions(network)) == convs


def test_map_sizes():
    with torch.device('meta'):
        (last,) = DilatedVGG16BN()(torch.empty(2, 3, 47, 70))
        pools = VGG16BNPools()(torch.empty(2, 3, 64, 96))
    assert last.shape == (2, 1024, 5, 8)
    shapes = [tuple(pool.shape) for pool in pools]
    assert shapes == [(2, 256, 8, 12), (2, 512, 4, 6), (2, 512, 2, 3)]


@pytest.mark.parametrize('size', [(64, 70), (60, 64)])
def test_other_sizes_are_refused_by_the_network_with_pools(size):
    with torch.device('meta'):
        network, images = VGG16BNPools(), torch.empty(1, 3, *size)
    with pytest.raises(UserError, match=f'images of {size[0]} x {size[1]} .* multiples of 32'):
        network(images)


@pytest.fixture(scope='module')
def file_weights():
    """torchvision's layout; every entry has a value of its own."""
    network = VGG16BNPools()
    state = {n: v for n, v in network.state_dict().items() if 'num_batches' not in n}
    weights = {
        f'features.{name}': torch.full_like(value, number)
        for number, (name, value) in enumerate(state.items())
    }
    return weights | {'classifier.0.weight': torch.zeros(4, 4)}


def test_torchvisions_file_is_read_in_full(file_weights, tmp_path):
    torch.save(file_weights, tmp_path / 'vgg16_bn.pth')
    network = VGG16BNPools()
    load_pretrained_backbone(network, tmp_path / 'vgg16_bn.pth')
    loaded = {n: v for n, v in network.state_dict().items() if 'num_batches' not in n}
    assert all(torch.equal(value, file_weights[f'features.{n}']) for n, value in loaded.items())


def test_positions_behind_the_removed_pool_move_up(file_weights, tmp_path):
    torch.save(file_weights, tmp_path / 'vgg16_bn.pth')
    network = DilatedVGG16BN()
    new = {n: v.clone() for n, v in network.state_dict().items() if n.startswith(('42.', '44.'))}
    load_pretrained_backbone(network, tmp_path / 'vgg16_bn.pth')
    loaded = {n: v for n, v in network.state_dict().items() if 'num_batches' not in n}
    for name, value in loaded.items():
        position, entry = name.split('.')
        published = f'features.{int(position) + (int(position) > 32)}.{entry}'
        assert torch.equal(value, new[name] if name in new else file_weights[published])
    assert len(loaded) == 13 * 6 + 4 and len(new) == 4


@pytest.mark.parametrize('network', [DilatedVGG16BN, VGG16BNPools])
def test_a_file_that_lacks_one_entry_is_refused(network, file_weights, tmp_path):
    weights = {n: v for n, v in file_weights.items() if n != 'features.41.running_var'}
    torch.save(weights, tmp_path / 'vgg16_bn.pth')
    with pytest.raises(UserError, match=r'77 of 78 entries .* 1 missing: 4[01]\.running_var'):
        load_pretrained_backbone(network(), tmp_path / 'vgg16_bn.pth')


@pytest.mark.parametrize('network', [DilatedVGG16BN, VGG16BNPools])
def test_a_missing_file_says_where_to_get_it(network, tmp_path):
    with torch.device('meta'):
        backbone = network()
    with pytest.raises(UserError, match='vgg16_bn-6c64b313.pth, one of torchvision'):
        load_pretrained_backbone(backbone, tmp_path / 'nothing.pth')
