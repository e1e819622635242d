"""Modules that fuse the concatenated levels in the head of DAFormer (Hoyer et al., CVPR 2022)."""

import math

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.models.utils import SelfAttentionBlock
from torch import Tensor, nn

ASPP_DILATIONS = (1, 6, 12, 18)
SPARSE_GROUP = 8


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling without image pooling, then a 3x3 convolution.

    Args:
        in_channels: channels D of the input.
        channels: channels of each branch and of the output.
        separable: use depthwise-separable instead of plain dilated convolutions.
        norm_cfg: normalisation after each convolution.
    """

    def __init__(
        self, in_channels: int, channels: int, separable: bool, norm_cfg: dict | None
    ) -> None:
        super().__init__()
        pyramid = DepthwiseSeparableASPPModule if separable else ASPPModule
        self.aspp_modules = pyramid(
            dilations=ASPP_DILATIONS,
            in_channels=in_channels,
            channels=channels,
            conv_cfg=None,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='ReLU'),
        )
        self.bottleneck = ConvModule(
            len(ASPP_DILATIONS) * channels, channels, 3, padding=1, norm_cfg=norm_cfg
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, h, w) -> map (B, channels, h, w)."""
        return self.bottleneck(torch.cat(self.aspp_modules(x), dim=1))


class GroupAttention(SelfAttentionBlock):
    """Self-attention among all cells of each map, without a residual connection."""

    def __init__(self, channels: int, norm_cfg: dict | None) -> None:
        super().__init__(
            key_in_channels=channels,
            query_in_channels=channels,
            channels=channels,
            out_channels=channels,
            share_key_query=False,
            query_downsample=None,
            key_downsample=None,
            key_query_num_convs=1,
            value_out_num_convs=1,
            key_query_norm=True,
            value_out_norm=False,
            matmul_norm=True,
            with_out=False,
            conv_cfg=None,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='ReLU'),
        )
        self.output_project = ConvModule(channels, channels, 1, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, D, h, w) -> maps (N, D, h, w)."""
        return self.output_project(super().forward(x, x))


class InterlacedSparseAttention(nn.Module):
    """Long-range, then short-range self-attention (Huang et al., arXiv:1907.12273).

    The map is padded with zeros on all sides to multiples of 8 and divided into groups of 8x8
    cells. The first attention is among the cells with the same position in their groups, the second
    among the cells of each group.

    Args:
        in_channels: channels D of the input.
        channels: channels of the output.
        norm_cfg: normalisation after each convolution.
    """

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict | None) -> None:
        super().__init__()
        self.in_conv = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.global_relation = GroupAttention(channels, norm_cfg)
        self.local_relation = GroupAttention(channels, norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, h, w) -> map (B, channels, h, w)."""
        x = self.in_conv(x)
        batch, channels, height, width = x.shape
        rows, columns = math.ceil(height / SPARSE_GROUP), math.ceil(width / SPARSE_GROUP)
        extra_height = rows * SPARSE_GROUP - height
        extra_width = columns * SPARSE_GROUP - width
        top, left = extra_height // 2, extra_width // 2
        x = F.pad(x, (left, extra_width - left, top, extra_height - top))

        # (B, C, rows, 8, columns, 8) -> (B, 8, 8, C, rows, columns): same position in all groups
        x = x.unflatten(3, (columns, SPARSE_GROUP)).unflatten(2, (rows, SPARSE_GROUP))
        x = x.permute(0, 3, 5, 1, 2, 4)
        groups = x.shape[:3]
        x = self.global_relation(x.flatten(0, 2)).unflatten(0, groups)

        # -> (B, rows, columns, C, 8, 8): cells of one group
        x = x.permute(0, 4, 5, 3, 1, 2)
        groups = x.shape[:3]
        x = self.local_relation(x.flatten(0, 2)).unflatten(0, groups)

        x = x.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return x[:, :, top : top + height, left : left + width]
