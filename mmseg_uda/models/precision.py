"""Precision of float32 arithmetic, and conversion from half precision."""

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_uda.errors import UserError

TF32 = {'highest': False, 'high': True, 'medium': True}


def set_precision(config: Config) -> str:
    """Set the precision of float32 arithmetic in this process and return its name.

    It is the config's ``precision``, by default ``highest``: full float32, as in the published
    runs. The others are faster on hardware that supports them: ``high`` uses TF32 in convolutions
    and matrix products, ``medium`` uses bfloat16 in matrix products and TF32 in convolutions.
    (torch's own default is TF32 in convolutions only.)

    Raises:
        UserError: unknown ``precision``.
    """
    precision = config.get('precision', 'highest')
    if precision not in tuple(TF32):
        raise UserError(f'precision is {precision!r}, it must be one of {", ".join(TF32)}')
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = TF32[precision]
    return precision


def at_least_float32(x: Tensor) -> Tensor:
    """Convert ``x`` (any shape) to float32; float64 stays float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
