"""The decoder of HRDA: one head for both scales, and the attention that chooses between them."""

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
    """A head shared by context and detail, and a scale attention on the context (ECCV 2022).

    The attention is a second head of the same kind with a sigmoid; of a ``DAFormerHead`` without
    the context of its fusion: a 1x1 convolution.

    Args:
        head: config of the shared head, ``DAFormerHead`` or ``DLV2Head``.
        attention_channels: width of a ``DAFormerHead`` as attention.
        attention_classwise: an attention map for every class, else one for all.
        fixed_attention: a number in 0..1 instead of the learned attention.

    Raises:
        UserError: for a head of another type.
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
                # It classifies nothing, so mmseg's threshold of a single output does not matter.
                warnings.filterwarnings('ignore', message='threshold is not defined for binary')
                self.scale_attention = MODELS.build(config)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps of one scale -> its logits (B, C, h, w)."""
        return self.head(features)

    def attention(self, features: list[Tensor], logits: Tensor) -> Tensor:
        """How much the detail counts, in 0..1, by the context.

        Args:
            features: maps of the context.
            logits: (B, C, h, w), of the context.

        Returns:
            (B, C, h, w), or (B, 1, h, w) if it is the same for all classes.
        """
        if self.scale_attention is None:
            return torch.full_like(logits[:, :1], self.fixed_attention)
        return at_least_float32(self.scale_attention(features)).sigmoid()
