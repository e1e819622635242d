"""The same steps on one rank with the whole batch, and on two with a half each, in float64."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.registry import DefaultScope
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.components.distributed import average_gradients
from mmseg_uda.uda.method import UDAMethod
from tests.precision import assert_same, double_precision

from .steps import Batches, batch_of, optimiser

STEPS = 3


@contextmanager
def process_group(rank: int, world_size: int, rendezvous: Path) -> Iterator[None]:
    """Be one of the ranks that meet at the file, in float64; with one rank there is no group."""
    torch.set_num_threads(1)
    if world_size > 1:
        meeting = dict(init_method=f'file://{rendezvous}', rank=rank, world_size=world_size)
        dist.init_process_group('gloo', **meeting)
    with DefaultScope.overwrite_default_scope('mmseg'), double_precision():
        yield
    if world_size > 1:
        dist.barrier()
        dist.destroy_process_group()


def own_share(batch: UDABatch, rank: int, world_size: int) -> UDABatch:
    """A rank's images of a batch."""
    number = len(batch.source.images) // world_size
    part = slice(rank * number, (rank + 1) * number)
    for domain in (batch.source, batch.target):
        domain.images = domain.images[part]
        domain.labels = None if domain.labels is None else domain.labels[part]
    return batch


def run(
    rank: int,
    world_size: int,
    rendezvous: Path,
    results: dict,
    make: Callable[[], UDAMethod],
    state: Callable[[UDAMethod], dict[str, Tensor]],
    batches: Batches,
) -> None:
    """Losses as means over the ranks, gradients as averaged, and the state after the last step."""
    losses, gradients, gradient_reduces = [], [], 0
    with process_group(rank, world_size, rendezvous):
        method = make()
        wrapper = optimiser(method, lr=1e-5)
        for iteration in range(STEPS):
            batch = own_share(batches(iteration), rank, world_size)
            with patch.object(dist, 'all_reduce', wraps=dist.all_reduce) as reduces:
                logs = method.backward_passes(method.begin(batch), wrapper)
                average_gradients(method)
            found = {n: p.grad for n, p in method.student.named_parameters() if p.grad is not None}
            gradients.append({name: gradient.clone() for name, gradient in found.items()})
            size = sum(gradient.numel() for gradient in found.values())
            gradient_reduces += sum(c.args[0].numel() == size for c in reduces.call_args_list)
            wrapper.step()
            wrapper.zero_grad()
            method.iteration += 1
            values = torch.stack(list(logs.values()))
            if world_size > 1:
                dist.all_reduce(values)
            losses.append(dict(zip(logs, (values / world_size).tolist(), strict=True)))
        results[world_size, rank] = dict(
            losses=losses,
            gradients=gradients,
            gradient_reduces=gradient_reduces,
            state={name: value.clone() for name, value in state(method).items()},
        )


def two_ranks_equal_one(
    folder: Path,
    make: Callable[[], UDAMethod],
    state: Callable[[UDAMethod], dict[str, Tensor]],
    batches: Batches = batch_of,
) -> tuple[dict, dict, dict]:
    """What one rank found and what each of the two did, which is the same.

    The functions go to other processes: they stand at the top of their modules.
    """
    with mp.Manager() as manager:
        results = manager.dict()
        for world_size in (2, 1):
            given = (world_size, folder / 'rendezvous', results, make, state, batches)
            mp.spawn(run, given, nprocs=world_size)
        one, two, other = results[1, 0], results[2, 0], results[2, 1]
    assert two['gradient_reduces'] == STEPS
    for what in ('losses', 'gradients', 'state'):
        assert_same(two[what], one[what], what)
    return one, two, other
