"""Steps of a method as the engine takes them, and what must hold for those of every method."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.method import UDAMethod

from .conftest import uda_batch

Logs = dict[str, Tensor]
Batches = Callable[[int], UDABatch]


def batch_of(seed: int) -> UDABatch:
    return uda_batch(seed=seed)


def optimiser(method: UDAMethod, lr: float = 1e-3) -> OptimWrapper | OptimWrapperDict:
    """AdamW for the student; Adam beside it for the discriminator of a method that has one."""
    network = dict(type='OptimWrapper', constructor='UDAOptimWrapperConstructor')
    student = dict(network, optimizer=dict(type='AdamW', lr=lr))
    judge = dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))
    return _build(method, student, dict(network, optimizer=judge))


def bfloat16_optimiser(method: UDAMethod) -> OptimWrapper | OptimWrapperDict:
    network = dict(optimizer=dict(type='SGD', lr=0.01))
    student = dict(network, type='AutocastOptimWrapper')
    return _build(method, student, dict(network, type='OptimWrapper'))


def _build(method: UDAMethod, student: dict, discriminator: dict):
    if not hasattr(method, 'discriminator'):
        return build_optim_wrapper(method, student)
    joint = dict(student=student, discriminator=discriminator)
    return build_optim_wrapper(method, dict(joint, constructor='JointOptimWrapperConstructor'))


def steps(method: UDAMethod, number: int, wrapper=None, batches: Batches = batch_of) -> list[Logs]:
    """The logs of ``number`` steps, each with the batch of its iteration."""
    wrapper = wrapper or optimiser(method)
    logs = []
    for _ in range(number):
        logs.append(method.backward_passes(method.begin(batches(method.iteration)), wrapper))
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
    return logs


def learn(method: UDAMethod, batches: Batches = batch_of) -> tuple[set[str], Logs]:
    """The modules of a method that one step changes, and its logs."""
    before = {name: p.clone() for name, p in method.named_parameters()}
    (logs,) = steps(method, 1, batches=batches)
    after = method.named_parameters()
    return {n.split('.')[0] for n, p in after if not torch.equal(p, before[n])}, logs


def continue_exactly(make: Callable[[], UDAMethod], batches: Batches = batch_of) -> list[Logs]:
    """A run that breaks off after two of four steps ends as an unbroken one, whose logs it gives.

    What the second half knows of the first are the state dicts.
    """
    unbroken, broken, resumed = make(), make(), make()
    logs = steps(unbroken, 4, batches=batches)

    wrapper = optimiser(broken)
    steps(broken, 2, wrapper, batches)
    resumed_wrapper = optimiser(resumed)
    resumed.load_state_dict(broken.state_dict())
    resumed_wrapper.load_state_dict(wrapper.state_dict())
    assert resumed.iteration == 2
    restored = resumed_wrapper.state_dict()
    if isinstance(resumed_wrapper, OptimWrapperDict):
        assert restored['student']['state'] and restored['discriminator']['state']
    else:
        assert restored['state']
    assert steps(resumed, 2, resumed_wrapper, batches) == logs[2:]
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    return logs


@contextmanager
def no_host_round_trips(but: str | None = None) -> Iterator[None]:
    """Nothing but the function ``but`` may read a tensor's values."""

    def refuse(self, *_):
        raise AssertionError('host round trip in the step')

    reads = ('item', 'tolist', 'cpu', 'numpy', 'nonzero', '__bool__', '__int__', '__float__')
    with pytest.MonkeyPatch.context() as patch:
        for name in reads:
            if name != but:
                patch.setattr(torch.Tensor, name, refuse)
        yield
