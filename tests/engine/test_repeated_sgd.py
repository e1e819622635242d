"""SGD that visits parameters several times, against the published update written out."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import mmseg_uda.register  # noqa: F401
from mmseg_uda.engine.repeated_sgd import RepeatedSGD
from mmseg_uda.errors import UserError
from tests.precision import assert_same

LR, MOMENTUM, DECAY = 0.1, 0.9, 0.05
SHAPES = (3, 4), (5,)


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(steps: int) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(shape, generator=generator) for shape in SHAPES] for _ in range(steps)]


def run(optimizer, given) -> None:
    for step in given:
        weights = [weight for group in optimizer.param_groups for weight in group['params']]
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()


def repeated(weights, **options) -> RepeatedSGD:
    settings = dict(lr=LR, momentum=MOMENTUM, weight_decay=DECAY) | options
    return RepeatedSGD(weights, **settings)


def published(weight, given, visits, accumulate_decay, nesterov) -> torch.Tensor:
    """The weight after all steps, by the equations of the class."""
    buffer = None
    for gradient in given:
        change = gradient
        for _ in range(visits):
            change = (change if accumulate_decay else gradient) + DECAY * weight
            buffer = change if buffer is None else MOMENTUM * buffer + change
            weight = weight - LR * (change + MOMENTUM * buffer if nesterov else buffer)
    return weight


@pytest.mark.parametrize('nesterov', [False, True])
@pytest.mark.parametrize('accumulate', [False, True])
@pytest.mark.parametrize('visits', [1, 3, 4])
def test_a_step_is_the_published_one(float64, visits, accumulate, nesterov):
    options = dict(visits=visits, accumulate_decay=accumulate, nesterov=nesterov)
    weights, given = parameters(), gradients(3)
    expected = [
        published(weight.detach().clone(), [step[i] for step in given], **options)
        for i, weight in enumerate(weights)
    ]
    run(repeated(weights, **options), given)
    assert_same([weight.detach() for weight in weights], expected)


@pytest.mark.parametrize(
    'options',
    [{}, dict(nesterov=True), dict(momentum=0.0), dict(weight_decay=0.0)],
    ids=['momentum', 'nesterov', 'no momentum', 'no decay'],
)
def test_one_visit_is_sgd(float64, options):
    settings = dict(lr=LR, momentum=MOMENTUM, weight_decay=DECAY) | options
    (ours, theirs), given = (parameters(), parameters()), gradients(3)
    run(RepeatedSGD(ours, **settings), given)
    run(torch.optim.SGD(theirs, **settings), given)
    assert_same([w.detach() for w in ours], [w.detach() for w in theirs])


def test_all_parameters_at_once_are_updated_as_one_by_one(float64):
    """As on a GPU and on a CPU."""
    (together, single), (given,) = (parameters(), parameters()), gradients(1)
    options = dict(visits=3, accumulate_decay=True, nesterov=True)
    optimizer = repeated(together, **options)
    for weight, gradient in zip(together, given, strict=True):
        weight.grad = gradient.clone()
    with torch.no_grad():
        optimizer._update(together, optimizer.param_groups[0])
    run(repeated(single, **options), [given])
    assert_same([w.detach() for w in together], [w.detach() for w in single])


def test_the_gradient_is_not_changed_and_parameters_without_one_stay():
    used, unused = parameters()
    before = unused.detach().clone()
    used.grad = gradient = torch.ones(SHAPES[0])
    groups = [dict(params=[used]), dict(params=[unused])]
    repeated(groups, visits=3, accumulate_decay=True).step()
    assert torch.equal(gradient, torch.ones(SHAPES[0])) and torch.equal(unused, before)


def test_the_state_continues_exactly():
    given = gradients(4)
    whole, half, rest = parameters(), parameters(), parameters()
    run(repeated(whole, visits=3), given)
    first = repeated(half, visits=3)
    run(first, given[:2])
    second = repeated([nn.Parameter(weight.detach().clone()) for weight in half], visits=3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(second, given[2:])
    assert all(map(torch.equal, whole, second.param_groups[0]['params']))
    with pytest.raises(ValueError, match='parameter group'):
        repeated(rest[:1]).load_state_dict(first.state_dict())


def test_a_step_reads_nothing_on_the_host():
    """Tensors of the ``meta`` device have no values that could be read."""
    weights = [nn.Parameter(weight.to('meta')) for weight in parameters()]
    given = [[gradient.to('meta') for gradient in step] for step in gradients(2)]
    run(repeated(weights, visits=3, accumulate_decay=True), given)


def test_a_closure_computes_the_loss_with_gradients():
    weights = parameters()

    def closure():
        loss = sum(weight.square().sum() for weight in weights)
        loss.backward()
        return loss

    assert repeated(weights).step(closure) > sum(w.square().sum() for w in weights)


@pytest.mark.parametrize('visits', [0, -1, 1.5, True, '3'])
def test_a_number_of_visits_below_1_is_refused(visits):
    with pytest.raises(UserError, match='visits is .*, it must be an integer from 1 up'):
        repeated(parameters(), visits=visits)
    with pytest.raises(UserError, match='visits is'):
        repeated([dict(params=parameters(), visits=visits)])


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(UserError, match='nesterov needs momentum above 0, but it is 0'):
        repeated(parameters(), nesterov=True, momentum=0.0)


def test_visits_are_given_by_custom_keys():
    """Plain keys and globs; all other parameters have those of the optimiser."""
    module = nn.ModuleDict({name: nn.Linear(2, 2) for name in ('stem', 'layer1', 'head')})
    keys = {'layer': dict(visits=3), 'layer*.bias': dict(visits=4), 'head': dict(lr_mult=10.0)}
    with DefaultScope.overwrite_default_scope('mmseg'):
        wrapper = build_optim_wrapper(
            module,
            dict(
                constructor='UDAOptimWrapperConstructor',
                optimizer=dict(type='RepeatedSGD', lr=1.0, weight_decay=0.1, visits=2),
                paramwise_cfg=dict(custom_keys=keys),
            ),
        )
    assert isinstance(wrapper.optimizer, RepeatedSGD)
    names = {parameter: name for name, parameter in module.named_parameters()}
    found = {
        names[parameter]: (group['lr'], group['visits'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    assert found == {
        'stem.weight': (1.0, 2),
        'stem.bias': (1.0, 2),
        'layer1.weight': (1.0, 3),
        'layer1.bias': (1.0, 4),
        'head.weight': (10.0, 2),
        'head.bias': (10.0, 2),
    }
