"""Neck for the decoder ablations of DAFormer."""

from collections.abc import Sequence

from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class UpscaleNeck(nn.Module):
    """Resizes each feature map of the backbone bilinearly by its own factor.

    Args:
        scales: scale factor of each map; 1 returns the map unchanged. (1, 1, 1, 8) resizes the last
            map of a MiT to the size of its first ("context only at F4" in the decoder ablation).
    """

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.scales = tuple(scales)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, D_i, h_i, w_i) -> maps (B, D_i, s_i * h_i, s_i * w_i), s = ``scales``."""
        return [
            x if s == 1 else resize(x, scale_factor=s, mode='bilinear', align_corners=False)
            for x, s in zip(features, self.scales, strict=True)
        ]
