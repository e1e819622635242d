import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import mmseg_uda.register  # noqa: F401
from mmseg_uda.engine.optim import uses_autocast
from mmseg_uda.errors import UserError
from tests.precision import assert_same


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def section(kind='SGD', lr=0.1, wrapper='OptimWrapper', **options):
    return dict(type=wrapper, optimizer=dict(type=kind, lr=lr, **options))


def joint(model, **sections):
    return build_optim_wrapper(model, dict(constructor='JointOptimWrapperConstructor', **sections))


def model():
    torch.manual_seed(0)
    return nn.ModuleDict(dict(student=nn.Linear(2, 3), discriminator=nn.Linear(3, 1)))


def learn(networks, wrapper):
    with wrapper.optim_context(networks):
        loss = networks['discriminator'](networks['student'](torch.ones(4, 2))).square().mean()
    wrapper.backward(loss)
    wrapper.step()
    wrapper.zero_grad()
    return {name: value.clone() for name, value in networks.state_dict().items()}


def test_each_network_has_its_own_optimiser():
    networks = model()
    before = networks.state_dict()['student.weight'].clone()
    wrapper = joint(networks, student=section(lr=0.0), discriminator=section('Adam', lr=0.5))
    after = learn(networks, wrapper)
    assert torch.equal(after['student.weight'], before)
    assert all(p.grad is None for p in networks.parameters())
    assert wrapper.get_lr() == {'student.lr': [0.0], 'discriminator.lr': [0.5]}


def test_one_for_the_method_moves_a_network_that_has_another_too(float64):
    """As in the published AdvSeg: the steps of both optimisers add up."""
    start = model().state_dict()['discriminator.bias']
    moved = {}
    for names in (('method',), ('method', 'discriminator')):
        networks = model()
        wrapper = joint(networks, **{name: section() for name in names})
        moved[len(names)] = learn(networks, wrapper)['discriminator.bias'] - start
    assert_same(moved[2], 2 * moved[1])
    assert moved[1].abs() > 0


def test_the_state_continues_exactly():
    networks = model()
    sections = dict(student=section('AdamW'), discriminator=section('Adam'))
    wrapper = joint(networks, **sections)
    learn(networks, wrapper)
    weights = {name: value.clone() for name, value in networks.state_dict().items()}
    state = copy.deepcopy(wrapper.state_dict())
    other = model()
    other.load_state_dict(weights)
    resumed = joint(other, **sections)
    resumed.load_state_dict(state)
    expected = learn(networks, wrapper)
    assert all(torch.equal(v, expected[k]) for k, v in learn(other, resumed).items())


@pytest.mark.parametrize(
    ('sections', 'message'),
    [
        (dict(student=section()), 'no section has the parameters of discriminator.weight'),
        (dict(student=section(), critic=section()), r'optim_wrapper.critic must be .*student'),
        (dict(method=section(), type='OptimWrapper'), 'optim_wrapper.type must be the section'),
        (dict(method=section(), paramwise_cfg={}), 'give it to one of the networks'),
    ],
)
def test_mistakes_are_named(sections, message):
    with pytest.raises(UserError, match=message):
        joint(model(), **sections)


def test_autocast_is_that_of_the_networks():
    autocast = section(wrapper='AutocastOptimWrapper')
    assert uses_autocast(joint(model(), student=autocast, discriminator=section()))
    assert not uses_autocast(joint(model(), method=section()))
    assert uses_autocast(build_optim_wrapper(model(), autocast))
