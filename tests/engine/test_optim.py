import copy
import re

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
        (dict(student=section()), 'no section covers the parameter discriminator.weight'),
        (dict(student=section(), critic=section()), r'optim_wrapper.critic must be .*student'),
        (dict(method=section(), type='OptimWrapper'), 'optim_wrapper.type must be the section'),
        (dict(method=section(), paramwise_cfg={}), 'move it into the section of a network'),
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


class Head(nn.Module):
    """Convolution and norm, both with biases, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.ones(1))


def network() -> nn.Module:
    names = 'backbone', 'decode_head', 'my_decode_head'
    return nn.ModuleDict({'student': nn.ModuleDict({name: Head() for name in names})})


def settings_of(custom_keys: dict, *, parent: str = 'UDAOptimWrapperConstructor', **rules) -> dict:
    """Parameter -> (learning rate, weight decay), with the rates 1 and 0.1 to start from."""
    module = network()
    options = dict(constructor=parent, paramwise_cfg=dict(custom_keys=custom_keys, **rules))
    wrapper = build_optim_wrapper(module, section(lr=1.0, weight_decay=0.1) | options)
    found = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in wrapper.param_groups
        for parameter in group['params']
    }
    return {name: found[id(parameter)] for name, parameter in module.named_parameters()}


def test_a_glob_takes_all_biases_of_the_head():
    """``bias_lr_mult`` leaves out those of norms; and the name must match to its end."""
    key = 'decode_head*.bias'
    found = settings_of({key: dict(lr_mult=2.0, decay_mult=0.0)})
    chosen = {name for name, settings in found.items() if settings == (2.0, 0.0)}
    assert chosen == {'student.decode_head.conv.bias', 'student.decode_head.norm.bias'}
    assert {found[name] for name in found.keys() - chosen} == {(1.0, 0.1)}
    assert settings_of({}, bias_lr_mult=2.0)['student.decode_head.norm.bias'] == (1.0, 0.1)


@pytest.mark.parametrize(
    ('keys', 'name', 'rate'),
    [
        (('decode_head', 'student*bias'), 'decode_head.conv.bias', 3.0),  # the longer one
        (('decode_head', 'conv*bias'), 'decode_head.conv.bias', 2.0),
        (('decode_head', '*.norm.bias'), 'decode_head.norm.bias', 3.0),  # equally long: * is first
        (('decode_head', '*norm.bias'), 'decode_head.norm.bias', 2.0),
        (('decode_head', 'student*bias'), 'decode_head.conv.weight', 2.0),
        (('no_such_key', '*.s[ck]ale'), 'my_decode_head.scale', 3.0),
        (('no_such_key', 'conv.????'), 'backbone.conv.bias', 3.0),
        (('no_such_key', 'conv.????'), 'backbone.conv.weight', 1.0),
    ],
)
def test_the_longest_key_wins(keys, name, rate):
    options = {key: dict(lr_mult=mult) for key, mult in zip(keys, (2.0, 3.0), strict=True)}
    assert settings_of(options)[f'student.{name}'][0] == rate


def test_a_glob_overrides_other_rules_and_plain_keys_keep_their_meaning():
    rules = dict(norm_decay_mult=0.0, bias_lr_mult=5.0)
    plain = {'norm': dict(lr_mult=3.0), 'decode_head.conv': dict(decay_mult=0.5)}
    expected = settings_of(plain, parent='DefaultOptimWrapperConstructor', **rules)
    assert settings_of(plain, **rules) == expected
    found = settings_of(plain | {'student.decode_head.conv.b*': dict(decay_mult=2.0)}, **rules)
    assert found == expected | {'student.decode_head.conv.bias': (1.0, 0.2)}


@pytest.mark.parametrize(
    ('options', 'unknown'), [(dict(visits=3), 'visits'), (dict(lr_mul=2.0), 'lr_mul')]
)
def test_an_option_that_the_optimiser_would_ignore_is_named(options, unknown):
    message = f'custom_keys: backbone has {unknown}, which is no option of SGD; it has .*lr_mult'
    with pytest.raises(UserError, match=message):
        settings_of({'backbone': options})
    assert settings_of({'backbone': dict(momentum=0.5)})


@pytest.mark.parametrize(
    ('glob', 'hint'),
    [('decode_haed*.bias', '; close names: decode_head.norm.bias'), ('*.xyz', '$')],
)
def test_a_glob_that_matches_nothing_is_named(glob, hint):
    with pytest.raises(UserError, match=f'no parameter matches {re.escape(glob)}{hint}'):
        settings_of({glob: dict(lr_mult=2.0)})
