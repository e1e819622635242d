"""The decoder of DAFormer, context-aware multi-level fusion, and its ablations."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.heads.fusion import ASPP, InterlacedSparseAttention
from mmseg_uda.models.layout import to_map, to_tokens

FUSIONS = ('sep_aspp', 'aspp', 'conv1', 'isa', 'sep_aspp_f4')


class LevelEmbedding(nn.Module):
    """Linear layer applied to each cell of a feature map."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, h, w) -> map (B, dim, h, w) in NCHW memory.

        The wide float32 convolutions of the heads are faster in this layout.
        """
        return to_map(self.proj(to_tokens(x)), tuple(x.shape[2:])).contiguous()


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Embeds each level, resizes and concatenates them, fuses and classifies the cells.

    From DAFormer (Hoyer et al., CVPR 2022).

    Args:
        in_channels: channels of the levels, (64, 128, 320, 512) for MiT-B1 to B5.
        channels: channels of the fused map.
        num_classes: number of classes C.
        embed_dims: channels of each embedded level.
        fusion: fusion of the concatenated levels:
            'sep_aspp': atrous spatial pyramid of depthwise-separable convolutions, as published;
            'aspp': the same with plain convolutions;
            'conv1': a 1x1 convolution, without context;
            'isa': interlaced sparse self-attention;
            'sep_aspp_f4': the separable pyramid on the last level only, then a 1x1 convolution on
            all levels; for use with :class:`~mmseg_uda.models.necks.UpscaleNeck`.
        in_index: indices of the backbone's maps that are the levels.
        norm_cfg: normalisation in the fusion; ``None``: none.
        kwargs: arguments of mmseg's ``BaseDecodeHead`` (``dropout_ratio=0.1``, ...).

    Raises:
        UserError: unknown ``fusion``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        num_classes: int = 19,
        embed_dims: int = 256,
        fusion: str = 'sep_aspp',
        in_index: Sequence[int] = (0, 1, 2, 3),
        norm_cfg: dict | None = dict(type='BN'),  # noqa: B006 - mmseg's convention, never changed
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            num_classes=num_classes,
            in_index=list(in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        if fusion not in FUSIONS:
            raise UserError(f'DAFormerHead: unknown fusion {fusion!r}, it must be one of {FUSIONS}')
        self.embed_layers = nn.ModuleList(LevelEmbedding(c, embed_dims) for c in in_channels)
        if fusion == 'sep_aspp_f4':
            self.embed_layers[-1] = nn.Sequential(
                nn.Conv2d(in_channels[-1], embed_dims, 1),
                ASPP(embed_dims, embed_dims, separable=True, norm_cfg=norm_cfg),
            )
        self.fuse_layer = _fuse_layer(fusion, len(in_channels) * embed_dims, channels, norm_cfg)

    def forward(self, features: list[Tensor]) -> Tensor:
        """All maps of the backbone (B, D_i, h_i, w_i) -> logits (B, C, h_0, w_0)."""
        levels = [
            embed(level)
            for embed, level in zip(
                self.embed_layers, self._transform_inputs(features), strict=True
            )
        ]
        size = levels[0].shape[2:]
        levels = [
            level
            if level.shape[2:] == size
            else resize(level, size=size, mode='bilinear', align_corners=self.align_corners)
            for level in levels
        ]
        return self.cls_seg(self.fuse_layer(torch.cat(levels, dim=1)))


def _fuse_layer(fusion: str, in_channels: int, channels: int, norm_cfg: dict | None) -> nn.Module:
    if fusion in ('conv1', 'sep_aspp_f4'):
        return ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
    if fusion == 'isa':
        return InterlacedSparseAttention(in_channels, channels, norm_cfg)
    return ASPP(in_channels, channels, separable=fusion == 'sep_aspp', norm_cfg=norm_cfg)
