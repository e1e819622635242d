"""The decoder of HRDA: a head shared by both scales, and the scale attention."""

import warnings

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.errors import UserError
from mmseg_uda.models.precision import at_least_float32

STRIDES = {'DAFormerHead': 4, 'DLV2Head': 8}


@MODELS.register_module()
class HRDAHead(BaseModule):
    """A head for context and detail, and a scale attention (Hoyer et al., HRDA, ECCV 2022).

    The attention is a second head of the same type, applied to the context, with a sigmoid. If it
    is a ``DAFormerHead``, its fusion is a 1x1 convolution.

    Args:
        head: config of the shared head, ``DAFormerHead`` or ``DLV2Head``.
        attention_channels: channels of the attention if it is a ``DAFormerHead``.
        attention_classwise: predict one attention map per class instead of one for all classes.
        fixed_attention: constant attention in 0..1 instead of a learned one.

    Raises:
        UserError: unsupported type of head.
    """

    def __init__(
        self,
        head: dict,
        attention_channels: int = 256,
        attention_classwise: bool = True,
        fixed_attention: float | None = None,
    ) -> None:
        super().__init__()
        if head.get('type') not in STRIDES:
            raise UserError(
                f'HRDAHead: the shared head is {head.get("type")!r}, it must be one of '
                f'{", ".join(STRIDES)}'
            )
        self.head = MODELS.build(head)
        self.stride = STRIDES[head['type']]
        self.in_channels = self.head.in_channels
        self.num_classes = self.head.num_classes
        self.out_channels = self.head.out_channels
        self.align_corners = self.head.align_corners
        self.fixed_attention = fixed_attention
        self.scale_attention = None
        if fixed_attention is None:
            config = dict(head, num_classes=self.num_classes if attention_classwise else 1)
            if head['type'] == 'DAFormerHead':
                width = attention_channels
                config |= dict(channels=width, embed_dims=width, fusion='conv1')
            with warnings.catch_warnings():
                # mmseg warns about its threshold for binary predictions, which is not used here.
                warnings.filterwarnings('ignore', message='threshold is not defined for binary')
                self.scale_attention = MODELS.build(config)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features (B, D_i, h_i, w_i) of one scale -> logits (B, C, h, w)."""
        return self.head(features)

    def attention(self, features: list[Tensor], logits: Tensor) -> Tensor:
        """Predict the weight of the detail, in 0..1, from the context.

        Args:
            features: maps (B, D_i, h_i, w_i) of the context.
            logits: (B, C, h, w) of the context; they set shape and dtype of a fixed attention.

        Returns:
            (B, C, h, w), or (B, 1, h, w) if all classes share it.
        """
        if self.scale_attention is None:
            return torch.full_like(logits[:, :1], self.fixed_attention)
        return at_least_float32(self.scale_attention(features)).sigmoid()
