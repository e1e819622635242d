"""Batch normalisation whose statistics and affine map are constants."""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module('FrozenBN')  # mmengine's: mmcv looks for norms from there
class FrozenBatchNorm(nn.Module):
    """``weight * (x - running_mean) / sqrt(running_var + eps) + bias`` with nothing to train.

    The state is a batch norm's but for the counter of steps; training and evaluation are the same.
    As a layer of mmseg's backbones: ``norm_cfg=dict(type='FrozenBN', eps=0.0)`` (mmcv passes 1e-5
    where the config is silent).

    Args:
        num_features: channels.
        eps: 0 in FADA and SDCA, whose frozen networks were trained without it.
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
