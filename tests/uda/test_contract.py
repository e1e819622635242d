"""What every method keeps to, alone and with every add-on that extends it.

The combinations are found by themselves: see ``tests/uda/combinations.py``.

Tensors of torch's ``meta`` device have shapes and no values: an operation that mixes them with the
host's, or that needs a value, fails, as it would fail or wait on a GPU.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from mmseg_uda.uda.addon import AddOn
from mmseg_uda.uda.components.depth_similarity import DepthSimilarity
from mmseg_uda.uda.method import UDAMethod

from .combinations import ADDONS, COMBINATIONS, METHODS, Combination, registered
from .conftest import every_tensor
from .ranks import two_ranks_and_one
from .steps import (
    OneDevice,
    bfloat16_optimiser,
    continue_exactly,
    no_host_round_trips,
    optimiser,
    sgd,
    steps,
    train_step,
)

every_combination = pytest.mark.parametrize('combination', COMBINATIONS, ids=str)
# The other combinations run nothing that these do not.
ALONE_AND_TOGETHER = [c for c in COMBINATIONS if len(c.addons) != 1]


@pytest.mark.parametrize(
    ('kind', 'entries'), [(UDAMethod, METHODS), (AddOn, ADDONS)], ids=['METHODS', 'ADDONS']
)
def test_every_registered_class_has_an_entry(kind, entries):
    names = registered(kind)
    for name in names.keys() - entries.keys():
        pytest.fail(
            f'{name} has no entry in tests/uda/combinations.py: add the options that the tests '
            f'build it with to {"METHODS" if kind is UDAMethod else "ADDONS"}'
        )
    assert not entries.keys() - names.keys(), 'entries of classes that are not registered'


@pytest.mark.parametrize('combination', [c for c in COMBINATIONS if len(c.addons) == 1], ids=str)
def test_an_addon_takes_effect(combination: Combination):
    """Else its other tests would show nothing."""
    joined, alone = combination.make(), replace(combination, addons={}).make()
    for method in (joined, alone):
        steps(method, 1, batches=combination.batch)
    entries = joined.student.state_dict()
    assert any(not v.equal(entries[name]) for name, v in alone.student.state_dict().items())


@every_combination
def test_a_resumed_run_is_the_uninterrupted_one(combination: Combination):
    logs = continue_exactly(combination.make, combination.batch)
    assert all(value.isfinite() for step in logs for value in step.values())


@every_combination
def test_a_step_reads_nothing_on_the_host(combination: Combination, monkeypatch):
    """But CDDA, once: which crops to read from disk, and whether there is a guidance pass."""
    # The CPU skips absent classes, which it knows without a round trip; a GPU takes all.
    monkeypatch.setattr(DepthSimilarity, '_present', lambda self, _: range(len(self.counts)))
    method = combination.make()
    wrapper, batch = sgd(method), combination.batch()
    with no_host_round_trips(tolists=combination.types.count('CDDA')):
        train_step(method, batch, wrapper)


def step_on(device: str, combination: Combination, make_wrapper) -> None:
    """A step leaves its losses and the method's state on the device, the state in float32."""
    method = combination.make().to(device)
    batch, wrapper = combination.batch(), make_wrapper(method)
    batch = every_tensor(batch, lambda maps: maps.to(device))
    parameters = list(method.student.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    logs = train_step(method, batch, wrapper)
    state = [value for name, value in method.state_dict().items() if 'extra_state' not in name]
    assert {value.device.type for value in (*state, *logs.values())} == {device}
    assert {v.dtype for v in state if v.is_floating_point()} == {torch.float32}
    if device != 'meta':
        assert all(value.isfinite().all() for value in (*state, *logs.values()))
        assert any(not torch.equal(*pair) for pair in zip(before, parameters, strict=True))


@every_combination
def test_a_step_stays_on_its_device(combination: Combination, monkeypatch):
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # meta has none
    # What CDDA asks for: a row of its bank or none for each image, and that there is a pass.
    monkeypatch.setattr(torch.Tensor, 'tolist', lambda self: [3, -1, 1])
    with OneDevice():
        step_on('meta', combination, optimiser)


CUDA = pytest.param(
    'cuda',
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU'),
    ],
)


@pytest.mark.parametrize('make_wrapper', [optimiser, bfloat16_optimiser])
@pytest.mark.parametrize('device', ['cpu', CUDA])
@pytest.mark.parametrize('combination', ALONE_AND_TOGETHER, ids=str)
def test_a_step_moves_the_student(combination: Combination, device, make_wrapper):
    step_on(device, combination, make_wrapper)


@pytest.fixture(scope='module')
def two_ranks(request, tmp_path_factory):
    """Tracebacks of the combinations that failed; one pair of processes runs all selected ones."""
    selected = [item for item in request.session.items if 'two_ranks' in item.fixturenames]
    cases = {
        c.name: (partial(c.make, norm='GN'), partial(c.batch, images=4))
        for c in (item.callspec.params['combination'] for item in selected)
    }
    return two_ranks_and_one(tmp_path_factory.mktemp('ranks'), cases)


@pytest.mark.slow
@every_combination
def test_two_ranks_equal_one(combination: Combination, two_ranks):
    if failure := two_ranks.get(combination.name):
        pytest.fail(failure, pytrace=False)
