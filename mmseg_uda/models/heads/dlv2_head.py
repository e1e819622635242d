"""The head of DeepLabV2: a sum of dilated classifiers."""

from collections.abc import Sequence

from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class DLV2Head(BaseDecodeHead):
    """Sum of 3x3 convolutions to the classes, one per dilation (Chen et al., TPAMI 2018).

    No normalisation, no activation, no dropout.

    Args:
        in_channels: channels D of the input map.
        num_classes: number of classes C.
        dilations: (6, 12) in the DACS and DAFormer papers ("dlv2red"), (6, 12, 18, 24) in DeepLab.
        in_index: index of the backbone's map that is the input.
        random_bias: initialise biases with torch's default (FADA, SDCA) instead of 0.
        kwargs: arguments of mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: int = 2048,
        *,
        num_classes: int = 19,
        dilations: Sequence[int] = (6, 12),
        in_index: int = 3,
        random_bias: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=num_classes,
            num_classes=num_classes,
            in_index=in_index,
            dropout_ratio=0,
            init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),
            **kwargs,
        )
        self.random_bias = random_bias
        del self.conv_seg  # unused: the branches classify
        self.aspp_modules = ASPPModule(
            dilations=dilations,
            in_channels=in_channels,
            channels=self.out_channels,
            conv_cfg=None,
            norm_cfg=None,
            act_cfg=None,
        )

    def init_weights(self) -> None:
        """Initialise weights from N(0, 0.01^2), and biases as ``random_bias`` says."""
        super().init_weights()
        if self.random_bias:
            bound = (9 * self.in_channels) ** -0.5
            for branch in self.aspp_modules:
                nn.init.uniform_(branch.conv.bias, -bound, bound)

    def forward(self, features: list[Tensor]) -> Tensor:
        """All maps of the backbone (B, D_i, h_i, w_i) -> logits (B, C, h, w)."""
        return sum(self.aspp_modules(self._transform_inputs(features)))
