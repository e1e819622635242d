"""Batch norms with fixed statistics: ``norm_eval`` of DA-SAC's networks."""

import pytest
import torch
from torch import nn

from mmseg_uda.models import CaffeResNet, DilatedVGG16BN, FCN8Head, VGG16BNPools


def feature_maps():
    sizes = ((3, 8), (5, 4), (6, 2))
    return [torch.randn(2, channels, side, side) for channels, side in sizes]


MODULES = {
    'resnet': (lambda **o: CaffeResNet(18, base_channels=4, stem_channels=4, **o), None),
    'dilated_vgg': (DilatedVGG16BN, None),
    'vgg_pools': (VGG16BNPools, None),
    'fcn8_head': (lambda **o: FCN8Head((3, 5, 6), channels=4, num_classes=7, **o), feature_maps),
}


def training_pass(name, **options):
    """The module, its state before a training pass, and whether the pass changed it by entry."""
    torch.manual_seed(0)
    build, inputs = MODULES[name]
    module = build(**options)
    module.eval()  # as a validation switches it
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    output = module(inputs() if inputs else torch.randn(2, 3, 32, 32))
    maps = [output] if isinstance(output, torch.Tensor) else output
    sum(m.square().sum() for m in maps).backward()
    after = module.state_dict()
    return module, {name: not torch.equal(value, after[name]) for name, value in before.items()}


@pytest.mark.parametrize('name', MODULES)
def test_statistics_are_fixed_and_weights_are_trained(name):
    module, changed = training_pass(name, norm_eval=True)
    assert not any(changed.values()) and module.training
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert all(norm.weight.grad.any() and norm.bias.grad.any() for norm in norms)


@pytest.mark.parametrize('name', MODULES)
def test_statistics_are_updated_by_default(name):
    _, changed = training_pass(name)
    assert {n for n, value in changed.items() if value} == {
        n for n in changed if n.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
    }
