"""Steps of a method as the engine takes them, and what must hold for those of every method."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from unittest.mock import patch

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


def sgd(method: UDAMethod, student='OptimWrapper') -> OptimWrapper | OptimWrapperDict:
    """Plain gradient descent, whose step, unlike Adam's, reads no counter on the host."""
    network = dict(optimizer=dict(type='SGD', lr=0.01))
    return _build(method, dict(network, type=student), dict(network, type='OptimWrapper'))


def bfloat16_optimiser(method: UDAMethod) -> OptimWrapper | OptimWrapperDict:
    return sgd(method, 'AutocastOptimWrapper')


def _build(method: UDAMethod, student: dict, discriminator: dict):
    if not hasattr(method, 'discriminator'):
        return build_optim_wrapper(method, student)
    joint = dict(student=student, discriminator=discriminator)
    return build_optim_wrapper(method, dict(joint, constructor='JointOptimWrapperConstructor'))


def train_step(method: UDAMethod, batch: UDABatch, wrapper) -> Logs:
    """One whole training step on a batch that is preprocessed already."""
    with patch.object(method.data_preprocessor, 'forward', lambda data, training: data):
        return method.train_step(batch, wrapper)


def steps(method: UDAMethod, number: int, wrapper=None, batches: Batches = batch_of) -> list[Logs]:
    """The logs of ``number`` steps, each with the batch of its iteration."""
    wrapper = wrapper or optimiser(method)
    return [train_step(method, batches(method.iteration), wrapper) for _ in range(number)]


def learn(method: UDAMethod, batches: Batches = batch_of) -> tuple[set[str], Logs]:
    """The modules of a method that one step changes, and its logs."""
    before = {name: p.clone() for name, p in method.named_parameters()}
    (logs,) = steps(method, 1, batches=batches)
    after = method.named_parameters()
    return {n.split('.')[0] for n, p in after if not torch.equal(p, before[n])}, logs


def continue_exactly(make: Callable[[], UDAMethod], batches: Batches = batch_of) -> list[Logs]:
    """A run that resumes after two of four steps is the uninterrupted one, whose logs it returns.

    The resumed run has other initial weights: all that it knows is in the state dicts.
    """
    method, resumed = make(), make()
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1)
    wrapper, resumed_wrapper = optimiser(method), optimiser(resumed)
    first = steps(method, 2, wrapper, batches)
    resumed.load_state_dict(deepcopy(method.state_dict()))
    resumed_wrapper.load_state_dict(deepcopy(wrapper.state_dict()))
    assert resumed.iteration == 2
    last = steps(method, 2, wrapper, batches)
    assert steps(resumed, 2, resumed_wrapper, batches) == last
    for name, value in method.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    return first + last


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of several devices, also those that torch allows.

    torch indexes with indices on the host, for example, which it copies on every call. Numbers
    (0-dimensional tensors) and copies from one device to another are no such operations.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = tree_leaves((args, kwargs or {}))
        devices = {t.device.type for t in found if isinstance(t, Tensor) and t.ndim}
        if func is not torch.ops.aten.copy_.default:
            assert len(devices) < 2, f'{func} of tensors on {" and ".join(sorted(devices))}'
        return func(*args, **(kwargs or {}))


@contextmanager
def no_host_round_trips(tolists: int = 0) -> Iterator[None]:
    """Nothing may read a tensor's values, but for so many calls of ``Tensor.tolist``."""

    def refuse(self, *_):
        raise AssertionError('host round trip in the step')

    def tolist(self):
        calls.append(self)
        return original(self) if len(calls) <= tolists else refuse(self)

    calls, original = [], torch.Tensor.tolist
    reads = ('item', 'cpu', 'numpy', 'nonzero', '__bool__', '__int__', '__float__', '__index__')
    with pytest.MonkeyPatch.context() as patches:
        for name in reads:
            patches.setattr(torch.Tensor, name, refuse)
        patches.setattr(torch.Tensor, 'tolist', tolist)
        yield
    assert len(calls) == tolists
