import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.models import FrozenBatchNorm
from tests.precision import assert_same


def randomised(layer):
    generator = torch.Generator().manual_seed(0)
    for entry in layer.state_dict().values():
        if entry.is_floating_point():
            entry.copy_(torch.rand(entry.shape, generator=generator) + 0.1)
    return layer


def test_it_is_a_batch_norm_in_evaluation_in_either_mode(float64):
    reference = randomised(nn.BatchNorm2d(5, eps=1e-3)).eval()
    layer = FrozenBatchNorm(5, eps=1e-3).train()
    weights = {k: v for k, v in reference.state_dict().items() if k in layer.state_dict()}
    layer.load_state_dict(weights)
    x = torch.randn(2, 5, 3, 4)
    assert_same(layer(x), reference(x))
    assert_same(layer.eval()(x), reference(x))
    assert all(torch.equal(value, weights[name]) for name, value in layer.state_dict().items())


def test_without_eps_it_divides_by_the_deviation_itself(float64):
    layer = randomised(FrozenBatchNorm(3, eps=0.0))
    layer.running_var[:] = 1e-6
    x = torch.randn(2, 3, 4, 4)
    s = layer.weight / 1e-3
    expected = x * s.view(-1, 1, 1) + (layer.bias - layer.running_mean * s).view(-1, 1, 1)
    assert_same(layer(x), expected)


def test_a_resnet_takes_it_and_has_no_norm_to_train():
    norm_cfg = dict(type='FrozenBN', eps=0.0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = MODELS.build(dict(type='ResNet', depth=18, norm_cfg=norm_cfg))
    assert isinstance(network.layer1[0].bn1, FrozenBatchNorm) and network.bn1.eps == 0
    assert not any('bn' in name for name, _ in network.named_parameters())
    assert not any('num_batches_tracked' in name for name in network.state_dict())
