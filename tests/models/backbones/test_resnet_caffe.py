import pytest
import torch
from mmseg.models.backbones import ResNet
from torch import nn

from mmseg_uda.models import CaffeResNet, load_pretrained_backbone

DEEPLAB = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(0, 1, 2, 3))


def test_it_is_deeplabs_form():
    """Stride in the first convolution of a bottleneck; a stage has one dilation."""
    network = CaffeResNet(50, **DEEPLAB)
    first = network.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    for stage, dilation in ((network.layer3, 2), (network.layer4, 4)):
        assert {block.conv2.dilation for block in stage} == {(dilation, dilation)}


@pytest.mark.parametrize(('side', 'first', 'last'), [(64, 17, 9), (65, 17, 9), (66, 17, 9)])
def test_the_pool_rounds_up(side, first, last):
    with torch.device('meta'):
        maps = CaffeResNet(18, **DEEPLAB)(torch.empty(1, 3, side, 96))
    assert [m.shape[2] for m in maps] == [first, last, last, last]


def test_initial_weights():
    torch.manual_seed(0)
    network = CaffeResNet(18)
    network.init_weights()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 4000:
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.1)
            assert abs(module.weight.mean().item()) < 1e-3
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


def test_torchvisions_file_is_read(tmp_path):
    """mmseg's ResNet has torchvision's names; their classifier is left out."""
    other = ResNet(50, base_channels=4)
    weights = {name: torch.randn_like(value) for name, value in other.named_parameters()}
    weights |= {n: v + 0.5 for n, v in other.named_buffers() if 'running' in n}
    torch.save(weights | {'fc.weight': torch.zeros(1000, 128)}, tmp_path / 'resnet50.pth')
    network = CaffeResNet(50, base_channels=4, **DEEPLAB)
    load_pretrained_backbone(network, tmp_path / 'resnet50.pth')
    loaded = network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    assert len(weights) == sum('num_batches' not in name for name in loaded)
