"""Two ranks with one image each must do what one rank does with two images."""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.registry import DefaultScope

from mmseg_uda.uda.distributed import average_gradients

from .conftest import build, segmentor, uda_batch
from .test_self_training import optimiser

STEPS = 3


def run(rank: int, world_size: int, results: dict) -> None:
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT='29517')
        dist.init_process_group('gloo', rank=rank, world_size=world_size)
    with DefaultScope.overwrite_default_scope('mmseg'):
        method = build(
            dict(
                type='SelfTraining',
                segmentor=segmentor(norm='GN'),
                threshold=0.07,
                parts=dict(
                    # classes that the two images hold in different numbers of cells
                    feature_distance=dict(
                        type='FeatureDistance', classes=list(range(0, 19, 2)), min_ratio=0.25
                    ),
                ),
            )
        )
        # The encoder's reference differs from the student, so that the distance has a gradient.
        with torch.no_grad():
            for p in method.parts['feature_distance'].encoder.parameters():
                p.mul_(1.1)
        wrapper = optimiser(method, lr=1e-5)
    reduces, all_reduce = [], dist.all_reduce

    def counting_all_reduce(tensor, *args, **kwargs):
        reduces.append(tensor.numel())
        return all_reduce(tensor, *args, **kwargs)

    dist.all_reduce = counting_all_reduce
    losses, gradients = [], []
    for iteration in range(STEPS):
        batch = uda_batch(seed=iteration)
        for domain in (batch.source, batch.target):
            part = slice(rank, rank + 1) if world_size > 1 else slice(None)
            domain.images = domain.images[part]
            domain.labels = None if domain.labels is None else domain.labels[part]
        logs = method.backward_passes(batch, wrapper)
        average_gradients(method)
        gradients.append({n: p.grad.clone() for n, p in method.student.named_parameters()})
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
        values = torch.stack(list(logs.values()))
        if world_size > 1:
            all_reduce(values)
        losses.append(dict(zip(logs, (values / world_size).tolist(), strict=True)))
    if rank == 0:
        parameters = sum(p.numel() for p in method.student.parameters())
        teacher = {n: p.clone() for n, p in method.teacher.named_parameters()}
        results[world_size] = dict(
            losses=losses,
            gradients=gradients,
            teacher=teacher,
            gradient_reduces=sum(n == parameters for n in reduces),
        )
    if world_size > 1:
        dist.destroy_process_group()


def test_two_ranks_equal_one_rank_with_the_whole_batch():
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(run, (2, results), nprocs=2)
        mp.spawn(run, (1, results), nprocs=1)
        one, two = results[1], results[2]
    assert two['gradient_reduces'] == STEPS
    for alone, together in zip(one['losses'], two['losses'], strict=True):
        assert alone['src.loss_imnet_feat_dist'] > 0
        for name, value in alone.items():
            assert abs(value - together[name]) < 1e-5 * max(1, abs(value)), name
    for alone, together in zip(one['gradients'], two['gradients'], strict=True):
        for name, value in alone.items():
            assert torch.allclose(value, together[name], atol=1e-5), name
    for name, value in one['teacher'].items():
        assert torch.allclose(value, two['teacher'][name], atol=1e-5), name
