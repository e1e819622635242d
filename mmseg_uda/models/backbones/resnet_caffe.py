"""ResNet as the DeepLab-v2 of many adaptation papers has it."""

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class CaffeResNet(ResNet):
    """ResNet (He et al., CVPR 2016) in the form of Caffe's DeepLab-v2.

    It differs from mmseg's default ``ResNet`` in four points: the stride of a bottleneck is in its
    first 1x1 convolution, not in the 3x3 one; the first block of a dilated stage has the dilation
    of the other blocks; the pool rounds sizes up; all convolutions are initialised from
    N(0, 0.01). Names and order of the parameters are torchvision's.

    Args:
        depth: 18, 34, 50, 101 or 152.
        kwargs: options of mmseg's ``ResNet``: ``strides``, ``dilations``, ``out_indices``,
            ``norm_eval`` (batch norms keep their running statistics in training), ...
    """

    def __init__(self, depth: int, **kwargs) -> None:
        normal = dict(type='Normal', layer='Conv2d', std=0.01)
        ones = dict(type='Constant', layer='_BatchNorm', val=1)
        options = dict(style='caffe', contract_dilation=False, init_cfg=[normal, ones]) | kwargs
        super().__init__(depth, **options)
        self.maxpool.ceil_mode = True

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> maps (B, D_i, h_i, w_i) of the stages ``out_indices``.

        The first stage has ceil(H / 2) // 2 + 1 rows: the pool rounds up.
        """
        return super().forward(images)
