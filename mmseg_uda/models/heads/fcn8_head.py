"""FCN-8s head: class scores of three resolutions, summed."""

from collections.abc import Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.losses import upscale
from mmseg_uda.models.norm_eval import NormEval


@MODELS.register_module()
class FCN8Head(NormEval, BaseDecodeHead):
    """Head of FCN-8s (Long et al., CVPR 2015) with batch norm, as DA-SAC uses it.

    VGG's fully connected layers, as convolutions, score the classes at stride 32. Their up-scaled
    scores and linear scores of stride 16 are summed, then these, up-scaled, and linear scores of
    stride 8. The skip scores are not scaled.

    Args:
        in_channels: of the maps of stride 8, 16 and 32.
        channels: of the two hidden layers.
        num_classes: number of classes, which is the number of output channels.
        dropout_ratio: probability that a channel behind a hidden layer is set to 0 in training.
        align_corners: of the up-scaling, also of the logits to the labels' size.
        norm_eval: batch norms keep their running statistics in training, see :class:`NormEval`.
        kwargs: of mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 512),
        *,
        channels: int = 4096,
        num_classes: int = 19,
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        norm_eval: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            in_index=(0, 1, 2),
            input_transform='multiple_select',
            dropout_ratio=0,
            align_corners=align_corners,
            init_cfg=None,
            **kwargs,
        )
        self.norm_eval = norm_eval
        del self.conv_seg  # ``vgg_head`` ends with the classifier
        pool3, pool4, pool5 = in_channels
        self.vgg_head = nn.Sequential(
            *hidden(pool5, channels, 7, dropout_ratio),
            *hidden(channels, channels, 1, dropout_ratio),
            nn.Conv2d(channels, self.out_channels, 1),
        )
        self.score_pool4 = nn.Conv2d(pool4, self.out_channels, 1)
        self.score_pool3 = nn.Conv2d(pool3, self.out_channels, 1)

    def init_weights(self) -> None:
        """Initialise the skip scores' weights from N(0, 0.01); the rest keeps torch's defaults."""
        super().init_weights()
        for score in (self.score_pool4, self.score_pool3):
            nn.init.normal_(score.weight, std=0.01)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps (B, D_i, 4h, 4w), (B, D_i, 2h, 2w) and (B, D_i, h, w) -> logits (B, C, 4h, 4w)."""
        pool3, pool4, pool5 = self._transform_inputs(features)
        score = self.add_up(self.vgg_head(pool5), self.score_pool4(pool4))
        return self.add_up(score, self.score_pool3(pool3))

    def add_up(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Scores (B, C, h, w), up-scaled, plus scores (B, C, 2h, 2w)."""
        return upscale(coarse, fine.shape[2:], self.align_corners) + fine


def hidden(in_channels: int, channels: int, kernel_size: int, dropout: float) -> list[nn.Module]:
    """A hidden layer that keeps the map's size."""
    return [
        nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
    ]
