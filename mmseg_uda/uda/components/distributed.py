"""Averages over ranks: of the gradients of a step, and of values of images."""

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace the gradients of ``module`` by their mean over the ranks, in one all-reduce.

    Called once per step, after the last backward pass; DistributedDataParallel would reduce after
    each of a step's several passes. Every rank must hold gradients for the same parameters, so
    methods must not decide by data which parameters are trained.
    """
    if get_world_size() == 1:
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= get_world_size()
    torch._foreach_copy_(
        gradients,
        [
            piece.view_as(gradient)
            for piece, gradient in zip(
                flat.split([g.numel() for g in gradients]), gradients, strict=True
            )
        ],
    )


@torch.no_grad()
def mean_over_images(values: Tensor) -> Tensor:
    """Mean of values (B, ...) over the images of all ranks, which have the same B: (...)."""
    mean = values.mean(dim=0)
    all_reduce(mean, op='mean')
    return mean
