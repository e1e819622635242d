"""The same steps on one rank with the whole batch, and on two with a half each, in float64."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dist import all_gather
from mmengine.registry import DefaultScope
from torch.utils._pytree import tree_leaves

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.random import seed_all
from mmseg_uda.uda.components.distributed import average_gradients
from mmseg_uda.uda.method import UDAMethod
from tests.precision import assert_same, double_precision

from .conftest import every_tensor
from .steps import Batches, optimiser

STEPS = 3
Case = tuple[Callable[[], UDAMethod], Batches]


@contextmanager
def process_group(rank: int, world_size: int, rendezvous: Path) -> Iterator[None]:
    """Be one of the ranks that meet at the file, in float64; with one rank there is no group."""
    torch.set_num_threads(1)
    if world_size > 1:
        meeting = dict(init_method=f'file://{rendezvous}', rank=rank, world_size=world_size)
        dist.init_process_group('gloo', timeout=timedelta(minutes=5), **meeting)
    try:
        with DefaultScope.overwrite_default_scope('mmseg'), double_precision():
            yield
            if world_size > 1:
                dist.barrier()
    finally:  # a rank that waits for one that failed gets an error
        if world_size > 1:
            dist.destroy_process_group()


def own_share(batch: UDABatch, rank: int, world_size: int) -> UDABatch:
    """A rank's images of a batch."""
    number = len(batch.source.images) // world_size
    part = slice(rank * number, (rank + 1) * number)
    return every_tensor(batch, lambda maps: maps[part])


def trajectory(case: Case, rank: int, world_size: int) -> dict[str, list[dict]]:
    """Losses as means over the ranks, gradients as averaged, and the state after the last step."""
    make, batches = case
    method, losses, gradients = make(), [], []
    wrapper = optimiser(method, lr=1e-5)
    for iteration in range(STEPS):
        seed_all(0, iteration, rank=rank)
        step = method.begin(own_share(batches(iteration), rank, world_size))
        with patch.object(dist, 'all_reduce', wraps=dist.all_reduce) as reduces:
            logs = method.backward_passes(step, wrapper)
            average_gradients(method)
        found = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
        assert found, 'no parameter has a gradient'
        size = sum(gradient.numel() for gradient in found.values())
        exchanges = sum(call.args[0].numel() == size for call in reduces.call_args_list)
        assert exchanges == (world_size > 1), 'gradients are exchanged once a step'
        gradients.append({name: gradient.clone() for name, gradient in found.items()})
        wrapper.step()
        wrapper.zero_grad()
        method.after_step(step)
        method.iteration += 1
        means = torch.stack(all_gather(torch.stack(list(logs.values())))).mean(dim=0)
        losses.append(dict(zip(logs, means.tolist(), strict=True)))
    return dict(losses=losses, gradients=gradients, state=[method.state_dict()])


def assert_same_on_all_ranks(found: dict[str, list[dict]]) -> None:
    """Gradients and state are equal bit by bit."""
    for what in ('gradients', 'state'):
        flat = torch.cat([value.double().flatten() for value in tree_leaves(found[what])])
        first, second = all_gather(flat)
        assert torch.equal(first, second), f'the {what} of the ranks differ'


def check(rank: int, folder: Path, cases: dict[str, Case]) -> None:
    """Run the cases; write a report of each, empty unless it failed on this rank.

    Args:
        cases: fewer than in earlier calls with this folder, so that no meeting place is used twice.
    """
    for name, case in cases.items():
        report = report_of(folder, name, rank)
        report.write_text(f'rank {rank}: the process died')
        try:
            with process_group(rank, 2, folder / f'{name}.{len(cases)}'):
                together = trajectory(case, rank, 2)
                assert_same_on_all_ranks(together)
            if rank == 0:
                with process_group(0, 1, folder):
                    alone = trajectory(case, 0, 1)
                for what, values in alone.items():
                    assert_same(together[what], values, what)
        except Exception:  # the next case must run
            report.write_text(f'rank {rank}: {traceback.format_exc()}')
        else:
            report.write_text('')


def report_of(folder: Path, name: str, rank: int) -> Path:
    """The file of a case's report."""
    return folder / f'{name} on rank {rank}'


def two_ranks_and_one(folder: Path, cases: dict[str, Case]) -> dict[str, str]:
    """Compare two ranks with one in each case; returns the reports of those that failed.

    gloo ends a process whose ranks exchange different tensors; further processes then run the
    cases after that.

    Cases are sent to other processes: their functions must be at the top of a module.
    """
    left = dict(cases)
    while left:
        try:
            mp.spawn(check, (folder, left), nprocs=2)
        except mp.ProcessExitedException:
            if not report_of(folder, next(iter(left)), 0).exists():
                raise  # before the first case
        left = {
            name: case for name, case in left.items() if not report_of(folder, name, 0).exists()
        }
    reports = {name: [report_of(folder, name, rank) for rank in range(2)] for name in cases}
    texts = {name: [p.read_text() for p in paths if p.exists()] for name, paths in reports.items()}
    return {name: '\n'.join(filter(None, found)) for name, found in texts.items() if any(found)}
