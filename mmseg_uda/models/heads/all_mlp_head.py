"""The all-MLP decoder of SegFormer, with the state dict keys of its published checkpoints."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.heads.daformer_head import LevelEmbedding


@MODELS.register_module()
class AllMLPHead(BaseDecodeHead):
    """Embeds each level, resizes and concatenates them, fuses and classifies the cells.

    From SegFormer (Xie et al., NeurIPS 2021). mmseg's ``SegformerHead`` differs: it normalises each
    level.

    Args:
        in_channels: channels of the levels, (64, 128, 320, 512) for MiT-B1 to B5.
        num_classes: number of classes C.
        embed_dims: channels of each embedded level and of the fused map.
        in_index: indices of the backbone's maps that are the levels.
        norm_cfg: normalisation of the fused map.
        kwargs: arguments of mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int = 19,
        embed_dims: int = 768,
        in_index: Sequence[int] = (0, 1, 2, 3),
        norm_cfg: dict | None = dict(type='BN'),  # noqa: B006 - mmseg's convention, never changed
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=list(in_channels),
            channels=128,
            num_classes=num_classes,
            in_index=list(in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        # Unused, but the published state dicts hold this classifier with 128 channels.
        self.conv_seg.requires_grad_(False)
        self.linear_c = nn.ModuleList(LevelEmbedding(c, embed_dims) for c in in_channels)
        self.linear_fuse = ConvModule(
            len(in_channels) * embed_dims, embed_dims, 1, norm_cfg=norm_cfg
        )
        self.linear_pred = nn.Conv2d(embed_dims, self.out_channels, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """All maps of the backbone (B, D_i, h_i, w_i) -> logits (B, C, h_0, w_0)."""
        inputs = self._transform_inputs(features)
        size = inputs[0].shape[2:]
        levels = [
            resize(embed(level), size=size, mode='bilinear', align_corners=self.align_corners)
            for embed, level in zip(self.linear_c, inputs, strict=True)
        ]
        fused = self.linear_fuse(torch.cat(levels, dim=1))
        return self.linear_pred(fused if self.dropout is None else self.dropout(fused))
