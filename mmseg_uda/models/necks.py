"""Neck of the decoder ablations."""

from collections.abc import Sequence

from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class UpscaleNeck(nn.Module):
    """Resizes each of the backbone's maps by its own factor, bilinearly.

    Args:
        scales: factor of each map; 1 leaves it as it is. (1, 1, 1, 8) brings a MiT's last map to
            the size of its first ("context only at F4" in DAFormer's decoder ablation).
    """

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.scales = tuple(scales)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i) -> (B, C_i, s_i * h_i, s_i * w_i)."""
        return [
            x if s == 1 else resize(x, scale_factor=s, mode='bilinear', align_corners=False)
            for x, s in zip(features, self.scales, strict=True)
        ]
