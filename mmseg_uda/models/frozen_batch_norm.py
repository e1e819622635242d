"""Batch normalisation with constant statistics and affine parameters."""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module('FrozenBN')  # in mmengine's registry, where mmcv finds norm layers
class FrozenBatchNorm(nn.Module):
    """``weight * (x - running_mean) / sqrt(running_var + eps) + bias``, all of them buffers.

    Training and evaluation mode compute the same. The state dict has the keys of ``BatchNorm2d``
    except ``num_batches_tracked``. To use it in mmseg's backbones:
    ``norm_cfg=dict(type='FrozenBN', eps=0.0)`` (without ``eps``, mmcv passes 1e-5).

    Args:
        num_features: number of channels C.
        eps: added to the variance; 0 in FADA and SDCA.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (('weight', 1), ('bias', 0), ('running_mean', 0), ('running_var', 1)):
            self.register_buffer(name, torch.full((num_features,), float(value)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
