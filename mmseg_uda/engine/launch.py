"""The processes of one training, as started by torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mmseg_uda.errors import UserError


def torchrun_world() -> tuple[int, int] | None:
    """Return (rank, world size) set by torchrun, ``None`` without torchrun."""
    if not {'RANK', 'WORLD_SIZE'} <= os.environ.keys():
        return None
    return int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])


@contextmanager
def joined_processes() -> Iterator[None]:
    """Join the processes that torchrun started: NCCL with one GPU each, gloo without GPUs.

    Nested use has no effect. After an error the group is not destroyed, because other ranks may
    wait in it; torchrun ends them. (mmengine's ``init_dist`` always sets a CUDA device, which fails
    in a CPU build of torch.)

    Raises:
        UserError: not started by torchrun, or more processes than GPUs.
    """
    import torch
    from torch import distributed

    if distributed.is_initialized():
        yield
        return
    if missing := {'RANK', 'LOCAL_RANK', 'WORLD_SIZE'} - os.environ.keys():
        raise UserError(
            f'--launcher pytorch: {", ".join(sorted(missing))} are not set; start with torchrun, '
            'or use mmseg-uda run --gpus N'
        )
    gpus, local_rank = torch.cuda.device_count(), int(os.environ['LOCAL_RANK'])
    if gpus and local_rank >= gpus:
        raise UserError(
            f'process {local_rank + 1} of this machine has no GPU (it has {gpus}): start fewer '
            'processes'
        )
    if gpus:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group('nccl' if gpus else 'gloo')
    yield
    distributed.destroy_process_group()
