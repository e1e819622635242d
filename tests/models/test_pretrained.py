import pickle
import re
from pathlib import Path

import pytest
import torch
from mmseg.models.backbones import MixVisionTransformer, ResNet, ResNetV1c
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.models import DilatedVGG16, MiT, load_pretrained_backbone
from tests.damage import flip_bit
from tests.precision import assert_same
from tests.tiny_training import ROOT


def randomise(network, seed):
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: value
        if value.dtype == torch.long
        else 0.1 * torch.randn(value.shape, generator=generator).abs()
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    return state


def save(path, content):
    torch.save(content, path)
    return path


def same(network, state):
    return all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.fixture(scope='module')
def weights():
    return randomise(MiT('b0'), seed=1)


@pytest.fixture
def network():
    network = MiT('b0')
    randomise(network, seed=2)
    return network


def prefixed(weights, prefix):
    return {prefix + name: value for name, value in weights.items()}


HEAD = {'head.weight': torch.zeros(1000, 256), 'head.bias': torch.zeros(1000)}


@pytest.mark.parametrize(
    'layout',
    [
        lambda w: w,
        lambda w: w | HEAD,
        lambda w: {'state_dict': w | HEAD, 'meta': {'epoch': 3}},
        lambda w: {'model': w},
        lambda w: prefixed(w, 'module.'),
        lambda w: {'state_dict': prefixed(w, 'backbone.') | {'decode_head.x': torch.zeros(3)}},
        lambda w: prefixed(w, 'module.backbone.'),
    ],
    ids=['bare', 'classifier', 'state_dict', 'model', 'module', 'backbone', 'module.backbone'],
)
def test_mit_layouts(layout, weights, network, tmp_path):
    load_pretrained_backbone(network, save(tmp_path / 'mit_b0.pth', layout(weights)))
    assert same(network, weights)


def test_mmseg_mit_computes_the_same(float64, network, tmp_path):
    reference = MixVisionTransformer(embed_dims=32, num_layers=[2, 2, 2, 2], num_heads=[1, 2, 5, 8])
    reference.eval()
    randomise(reference, seed=3)
    path = save(tmp_path / 'mit_b0_openmmlab.pth', {'state_dict': reference.state_dict()})
    load_pretrained_backbone(network, path)
    network.eval()
    for layer in network.modules():  # MiT has 1e-5 in some layers, mmseg 1e-6 in all
        if isinstance(layer, nn.LayerNorm):
            layer.eps = 1e-6
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(network(images), reference(images), strict=True):
            assert_same(ours, theirs)


RESNET = dict(depth=50, base_channels=4)
FC = {'fc.weight': torch.zeros(1000, 128), 'fc.bias': torch.zeros(1000)}


@pytest.mark.parametrize('resnet', [ResNet, ResNetV1c])
def test_resnet_with_classifier(resnet, tmp_path):
    weights = randomise(resnet(**RESNET), seed=1)
    network = resnet(**RESNET)
    load_pretrained_backbone(network, save(tmp_path / 'resnet.pth', weights | FC))
    assert same(network, weights)


def test_old_resnet_file_without_step_counters(tmp_path):
    weights = randomise(ResNet(**RESNET), seed=1)
    old = {n: v for n, v in weights.items() if not n.endswith('num_batches_tracked')}
    network = ResNet(**RESNET)
    load_pretrained_backbone(network, save(tmp_path / 'resnet50-19c8e357.pth', old))
    assert same(network, weights)


def test_nothing_matches(network, weights, tmp_path):
    path = save(tmp_path / 'other.pth', prefixed(weights, 'encoder.'))
    with pytest.raises(UserError, match='0 of 176 entries') as error:
        load_pretrained_backbone(network, path)
    assert 'missing: patch_embed1.proj.weight' in str(error.value)
    assert 'encoder.patch_embed1.proj.weight' in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(('dropped', 'accepted'), [(88, False), (9, False), (8, True)])
def test_share_of_matching_entries(dropped, accepted, network, weights, tmp_path):
    path = save(tmp_path / 'part.pth', dict(list(weights.items())[dropped:]))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if accepted:
        load_pretrained_backbone(network, path)
    else:
        with pytest.raises(UserError, match=f'{176 - dropped} of 176 entries'):
            load_pretrained_backbone(network, path)
        assert same(network, before)


def test_weights_of_another_width(network, tmp_path):
    path = save(tmp_path / 'mit_b1.pth', MiT('b1').state_dict())
    with pytest.raises(UserError, match='of 176 entries of MiT match'):
        load_pretrained_backbone(network, path)


def test_weights_of_a_deeper_network(tmp_path):
    deeper = MiT('b2').state_dict()
    with pytest.raises(UserError, match='156 unexpected in the file'):
        load_pretrained_backbone(MiT('b1'), save(tmp_path / 'mit_b2.pth', deeper))


@pytest.mark.parametrize(
    ('network', 'where'), [(MiT('b0'), 'SegFormer'), (ResNetV1c(**RESNET), 'OpenMMLab')]
)
def test_missing_file_says_where_to_get_it(network, where, tmp_path):
    path = tmp_path / 'nothing.pth'
    with pytest.raises(UserError, match=where) as error:
        load_pretrained_backbone(network, path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('kept', [0, 100, 0.5, 0.99])
def test_truncated_file(kept, network, weights, tmp_path):
    path = save(tmp_path / 'mit_b0.pth', weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(UserError, match='damaged'):
        load_pretrained_backbone(network, path)


def test_one_changed_bit(network, weights, tmp_path):
    path = save(tmp_path / 'mit_b0.pth', weights)
    flip_bit(path)
    with pytest.raises(UserError, match=r'mit_b0\.pth is damaged .*; download it again'):
        load_pretrained_backbone(network, path)


@pytest.mark.parametrize('content', [b'<html>not found</html>', b'\x89PNG\r\n\x1a\n' + bytes(99)])
def test_not_a_weights_file(content, network, tmp_path):
    path = tmp_path / 'mit_b0.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match='mit_b0.pth'):
        load_pretrained_backbone(network, path)


@pytest.mark.parametrize('content', [{}, [1, 2], {'state_dict': {}}, {'epoch': 3}])
def test_file_without_weights(content, network, tmp_path):
    with pytest.raises(UserError, match='holds no weights'):
        load_pretrained_backbone(network, save(tmp_path / 'mit_b0.pth', content))


class Poison:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize(
    ('writer', 'message'),
    [
        (torch.save, 'would run code stored in the file'),
        (lambda x, p: p.write_bytes(pickle.dumps(x)), r'was not written by torch\.save'),
    ],
)
def test_poisoned_pickle_does_not_run(writer, message, network, weights, tmp_path):
    target, path = tmp_path / 'ran', tmp_path / 'mit_b0.pth'
    writer({**weights, 'extra': Poison(target)}, path)
    with pytest.raises(UserError, match=message):
        load_pretrained_backbone(network, path)
    assert not target.exists()


def vgg_file(**more):
    """Weights in the layout of the Caffe-trained file: poolings at 4, 9, 16, 23 and 30."""
    shapes = {int(n.split('.')[0]): v.shape for n, v in DilatedVGG16().state_dict().items()}
    convs = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    weights = {}
    for number, position in enumerate(convs):
        own = position - (position > 23)
        width = shapes[own][0]
        channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512][number]
        weights[f'features.{position}.weight'] = torch.full((width, channels, 3, 3), position + 0.5)
        weights[f'features.{position}.bias'] = torch.full((width,), position + 0.25)
    return {**weights, 'classifier.0.weight': torch.zeros(4, 4), **more}


def test_vgg_without_its_last_pools(tmp_path):
    network = DilatedVGG16()
    new = network[29].weight.detach().clone()
    load_pretrained_backbone(network, save(tmp_path / 'vgg16.pth', vgg_file()))
    for own, position in ((0, 0), (21, 21), (23, 24), (25, 26), (27, 28)):
        assert (network[own].weight == position + 0.5).all()
        assert (network[own].bias == position + 0.25).all()
    assert torch.equal(network[29].weight, new)


def test_a_vgg_file_that_lacks_layers_is_refused(tmp_path):
    weights = {n: v for n, v in vgg_file().items() if not n.startswith('features.2')}
    with pytest.raises(UserError, match='of 26 entries of DilatedVGG16'):
        load_pretrained_backbone(DilatedVGG16(), save(tmp_path / 'vgg16.pth', weights))


def test_torchvision_weights_for_a_resnet_with_frozen_norms(tmp_path):
    layout = dict(depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)
    frozen = ResNet(**layout, norm_cfg=dict(type='FrozenBN', eps=0.0))
    state = randomise(frozen, seed=1)
    randomise(frozen, seed=2)
    file = state | {'fc.weight': torch.zeros(1000, 2048), 'bn1.num_batches_tracked': torch.ones(())}
    load_pretrained_backbone(frozen, save(tmp_path / 'resnet50.pth', file))
    assert same(frozen, state)


def test_the_page_lists_the_files_that_the_configs_read():
    read = {
        Path(value).name
        for path in (ROOT / 'configs').rglob('*.py')
        for value in re.findall(r"pretrained='([^']+)'", path.read_text())
    }
    page = (ROOT / 'pretrained/README.md').read_text()
    assert read == set(re.findall(r'^\| `([^`]+)`', page, re.MULTILINE)) and len(read) > 3
