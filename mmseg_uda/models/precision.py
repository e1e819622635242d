"""The arithmetic of float32, and where half precision is not enough."""

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_uda.errors import UserError

TF32 = {'highest': False, 'high': True, 'medium': True}


def set_precision(config: Config) -> str:
    """Set how float32 is computed in this process, by ``precision`` of the config; returns it.

    ``highest``, the default, is float32 throughout, as the published runs were trained. The others
    trade digits for speed where the hardware can: ``high`` is TF32 in convolutions and matrix
    products, ``medium`` is bfloat16 in matrix products. (torch's own default is TF32 in
    convolutions.)

    Raises:
        UserError: another value.
    """
    precision = config.get('precision', 'highest')
    if precision not in tuple(TF32):
        raise UserError(f'precision={precision!r} must be one of {", ".join(TF32)}')
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = TF32[precision]
    return precision


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is that already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
