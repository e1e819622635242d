"""One gradient all-reduce a step."""

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from torch import nn


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace the gradients of ``module`` by their mean over the ranks, in one all-reduce.

    Called once, after the last backward of a step: a method's many passes then cost one exchange,
    which DistributedDataParallel's hooks cannot do for a step of several forwards. Every rank
    must hold gradients for the same parameters (methods decide by iteration, never by data).
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
