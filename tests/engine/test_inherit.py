"""A training that starts with the optimiser's state of an earlier one."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import mmseg_uda.register  # noqa: F401
from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.inherit import inherit_optimizer
from mmseg_uda.engine.train import build_runner, train
from mmseg_uda.errors import UserError
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.golden.networks_dasac import dasac_name, empty_network, schedule_config
from tests.precision import assert_same
from tests.tiny_training import write_config

KEYS = Path(__file__).parents[1] / 'golden/data/dasac'
SGD = """
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        _delete_=True, custom_keys={'decode_head*.bias': dict(lr_mult=20.0, decay_mult=0.0)}
    ),
)
param_scheduler = []
train_cfg = dict(max_iters=3, val_interval=9)
train_dataloader.update(num_workers=0, persistent_workers=False)
"""


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


class Network(nn.Module):
    """A method's student of two layers, one of which is normalised."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        layers = dict(backbone=nn.Linear(2, channels), decode_head=nn.Linear(channels, 2))
        self.student = nn.ModuleDict(layers)

    def learn(self, wrapper, seed: int) -> None:
        image = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        layers = self.student.values()
        for layer in layers:
            image = layer(image)
        wrapper.backward(image.square().mean())
        wrapper.step()
        wrapper.zero_grad()


def optimizer(model, kind: str = 'SGD', lr: float = 0.1, keys: dict | None = None, **options):
    options = options if options or kind != 'SGD' else dict(momentum=0.9, weight_decay=0.01)
    return build_optim_wrapper(
        model,
        dict(
            constructor='UDAOptimWrapperConstructor',
            optimizer=dict(type=kind, lr=lr, **options),
            paramwise_cfg=dict(custom_keys=keys or {'decode_head*.bias': dict(lr_mult=2.0)}),
        ),
    )


def save(path, model, wrapper) -> None:
    torch.save(dict(state_dict=model.state_dict(), optimizer=wrapper.state_dict()), path)


@pytest.mark.parametrize('kind', ['SGD', 'AdamW'])
def test_the_next_step_is_that_of_the_uninterrupted_run(float64, kind, tmp_path):
    model = Network()
    wrapper = optimizer(model, kind)
    for seed in range(3):
        model.learn(wrapper, seed)
    save(tmp_path / 'iter_3.pth', model, wrapper)
    results = {}
    for inherits in (True, False):
        new = Network()
        load_segmentor_weights(new.student, tmp_path / 'iter_3.pth')
        own = optimizer(new, kind)
        if inherits:
            inherit_optimizer(own, new, tmp_path / 'iter_3.pth')
        new.learn(own, 3)
        results[inherits] = new.state_dict()
    model.learn(wrapper, 3)
    assert_same(results[True], model.state_dict())
    with pytest.raises(AssertionError):
        assert_same(results[False], model.state_dict())


def test_the_settings_are_those_of_the_config(tmp_path):
    model = Network()
    wrapper = optimizer(model)
    model.learn(wrapper, 0)
    save(tmp_path / 'iter_1.pth', model, wrapper)
    new = Network()
    own = optimizer(new, lr=0.5, momentum=0.8, weight_decay=0.3)
    inherit_optimizer(own, new, tmp_path / 'iter_1.pth')
    assert own.get_lr()['lr'] == [0.5, 1.0]
    assert {group['momentum'] for group in own.param_groups} == {0.8}
    assert {group['weight_decay'] for group in own.param_groups} == {0.3}
    buffers = [own.optimizer.state[p]['momentum_buffer'] for p in new.parameters()]
    expected = [wrapper.optimizer.state[p]['momentum_buffer'] for p in model.parameters()]
    assert all(map(torch.equal, buffers, expected)) and buffers[0].any()


@pytest.mark.parametrize('network', ['deeplabv2_resnet101', 'deeplabv2_vgg16_bn', 'fcn_vgg16_bn'])
def test_a_published_snapshot_has_its_buffers_in_the_order_of_our_groups(network, tmp_path):
    layout = json.loads((KEYS / f'{network}.keys.json').read_text())
    shapes = {name: shape for name, shape, _ in layout['state_dict']}
    names = [name for group in layout['optimizer_groups'] for name in group['names']]
    # The value of a buffer is its number; a number takes no memory.
    state = {
        number: {'momentum_buffer': torch.tensor(float(number)).expand(shapes[name])}
        for number, name in enumerate(names)
    }
    groups, first = [], 0
    for group in layout['optimizer_groups']:
        last = first + len(group.pop('names'))
        groups.append(group | dict(lr=7.0, params=list(range(first, last))))
        first = last
    weights = {
        f'module.backbone.{name}': torch.zeros(()).expand(shape) for name, shape in shapes.items()
    }
    content = dict(model=weights, opt=dict(state=state, param_groups=groups), epoch=40, score=0.4)
    torch.save(content, tmp_path / 'baseline_abn_e040.pth')

    model = nn.ModuleDict(dict(student=empty_network(network)))
    config = schedule_config(model.student).optim_wrapper
    own = build_optim_wrapper(model, config)
    rates = own.get_lr()['lr']
    inherit_optimizer(own, model, tmp_path / 'baseline_abn_e040.pth')
    assert own.get_lr()['lr'] == rates
    found = {
        dasac_name(model.student, name): own.optimizer.state[parameter]['momentum_buffer'].max()
        for name, parameter in model.student.named_parameters()
    }
    assert found == {name: number for number, name in enumerate(names)}


def test_what_does_not_fit_is_refused(tmp_path):
    model = Network()
    wrapper = optimizer(model)
    model.learn(wrapper, 0)
    path = tmp_path / 'iter_1.pth'
    save(path, model, wrapper)
    with pytest.raises(UserError, match=r'iter_1\.pth .* another optimiser than AdamW .*no betas'):
        inherit_optimizer(optimizer(model, 'AdamW'), model, path)
    wide = Network(channels=4)
    with pytest.raises(UserError, match=r'do not fit .*backbone.weight: \(3, 2\) in the file'):
        inherit_optimizer(optimizer(wide), wide, path)
    other_groups = optimizer(model, keys={'decode_head*': dict(lr_mult=2.0)})
    with pytest.raises(UserError, match=r'per group: \[3, 1\] in the file, \[2, 2\] here'):
        inherit_optimizer(other_groups, model, path)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'best_mIoU.pth')
    with pytest.raises(UserError, match=r'best_mIoU\.pth has no state of an optimiser'):
        inherit_optimizer(wrapper, model, tmp_path / 'best_mIoU.pth')
    sections = dict(
        constructor='JointOptimWrapperConstructor',
        student=dict(optimizer=dict(type='SGD', lr=0.1)),
    )
    with pytest.raises(UserError, match='Network has several optimisers'):
        inherit_optimizer(build_optim_wrapper(model, sections), model, path)


@pytest.mark.usefixtures('one_thread')
def test_a_training_starts_with_both_and_from_iteration_0(world, tmp_path):
    config = write_config(tmp_path / 'sgd.py', world, SGD)
    last = train(load_config(config, work_dir=tmp_path / 'first'))
    (tmp_path / 'second.py').write_text(f'_base_ = {config!r}\nload_optimizer = True\n')
    second = tmp_path / 'second.py'
    with pytest.raises(UserError, match='load_optimizer = True needs load_from'):
        train(load_config(second, work_dir=tmp_path / 'second'))
    options = {'load_from': str(last)}
    runner = build_runner(load_config(second, options, work_dir=tmp_path / 'third'))
    runner.load_or_resume()
    saved, loaded = load_checkpoint(last)['optimizer'], runner.optim_wrapper.state_dict()
    assert saved['state'].keys() == loaded['state'].keys()
    for number, state in saved['state'].items():
        assert torch.equal(state['momentum_buffer'], loaded['state'][number]['momentum_buffer'])
    assert runner.iter == runner.model.iteration == 0
