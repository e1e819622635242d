"""VGG-16 with batch norm as a fully convolutional backbone, for DeepLab-v2 and for FCN-8s."""

from collections.abc import Sequence

from mmengine.model import Sequential
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.norm_eval import NormEval

# Output channels of the 3x3 convolutions; in torchvision's network a pool follows every block.
BLOCKS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


class VGG16BN(NormEval, Sequential):
    """Base class of VGG-16 with batch norm: a flat list of layers.

    Its state dict's keys are positions (``0.weight``, ``1.running_mean``, ...).

    Args:
        layers: in order.
        norm_eval: batch norms keep their running statistics in training, see :class:`NormEval`.
        init_cfg: mmengine's, for training from scratch; default torch's own initial weights.
    """

    complete_weights = True
    """Every layer that an ImageNet file can have must be in the file."""

    def __init__(
        self, layers: Sequence[nn.Module], norm_eval: bool = False, init_cfg: dict | None = None
    ) -> None:
        super().__init__(*layers, init_cfg=init_cfg)
        self.norm_eval = norm_eval


@MODELS.register_module()
class DilatedVGG16BN(VGG16BN):
    """VGG-16 with batch norm in DeepLab-v2's form (Chen et al., TPAMI 2018), output stride 8.

    The last two pools are left out, the layers behind the fourth are dilated, and two dilated
    convolutions without batch norm replace the fully connected layers. No dropout.

    ImageNet weights are for all layers but these two convolutions, see ``untrained``.

    Args:
        norm_eval: batch norms keep their running statistics in training, see :class:`NormEval`.
        init_cfg: mmengine's, for training from scratch; default torch's own initial weights.
    """

    untrained = ('42.', '44.')
    """Entries that no ImageNet file has."""

    def __init__(self, norm_eval: bool = False, init_cfg: dict | None = None) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for number, widths in enumerate(BLOCKS):
            layers += block(channels, widths, dilation=2 if number == 4 else 1)
            if number < 3:
                layers.append(nn.MaxPool2d(2))
            channels = widths[-1]
        for width in (1024, 1024):
            conv = nn.Conv2d(channels, width, 3, padding=4, dilation=4)
            layers += [conv, nn.ReLU(inplace=True)]
            channels = width
        super().__init__(layers, norm_eval, init_cfg)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> one map (B, 1024, H // 8, W // 8)."""
        return [super().forward(images)]


@MODELS.register_module()
class VGG16BNPools(VGG16BN):
    """The convolutions of VGG-16 with batch norm; its maps are those behind the last three pools.

    The positions of the layers are torchvision's.

    Args:
        norm_eval: batch norms keep their running statistics in training, see :class:`NormEval`.
        init_cfg: mmengine's, for training from scratch; default torch's own initial weights.

    Raises:
        UserError: in a forward pass, sides of the images are not multiples of ``size_divisor``.
    """

    size_divisor = 32
    """Sides of images must be multiples of it, so that the maps have exact ratios of 4 : 2 : 1."""
    pools = (23, 33, 43)

    def __init__(self, norm_eval: bool = False, init_cfg: dict | None = None) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for widths in BLOCKS:
            layers += [*block(channels, widths), nn.MaxPool2d(2)]
            channels = widths[-1]
        super().__init__(layers, norm_eval, init_cfg)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the three maps of images.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, 256, H/8, W/8), (B, 512, H/16, W/16) and (B, 512, H/32, W/32).
        """
        height, width = images.shape[2:]
        if height % self.size_divisor or width % self.size_divisor:
            raise UserError(
                f'{type(self).__name__}: images of {height} x {width} pixels, both sides must be '
                f'multiples of {self.size_divisor}: crop or resize them'
            )
        maps = []
        for position, layer in enumerate(self):
            images = layer(images)
            if position in self.pools:
                maps.append(images)
        return maps


def block(channels: int, widths: Sequence[int], dilation: int = 1) -> list[nn.Module]:
    """3x3 convolutions of a stride of 1, each with batch norm and ReLU.

    Args:
        channels: of the input.
        widths: numbers of output channels, one per convolution.
    """
    layers: list[nn.Module] = []
    for width in widths:
        conv = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return layers
