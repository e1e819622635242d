"""VGG-16 as a fully convolutional backbone with output stride 8."""

from mmengine.model import Sequential
from mmseg.registry import MODELS
from torch import Tensor, nn

# (output channels, dilation) of each 3x3 convolution; 'pool' is 2x2 max pooling.
LAYERS = (
    *((64, 1), (64, 1), 'pool'),
    *((128, 1), (128, 1), 'pool'),
    *((256, 1), (256, 1), (256, 1), 'pool'),
    *((512, 1), (512, 1), (512, 1)),
    *((512, 2), (512, 2), (512, 2)),
    *((1024, 4), (1024, 4)),  # replace the fully connected layers
)


@MODELS.register_module()
class DilatedVGG16(Sequential):
    """VGG-16 (Simonyan and Zisserman, ICLR 2015) with dilated convolutions, for FADA and SDCA.

    As in DeepLab, the last two poolings are omitted, the convolutions after them are dilated, and
    two dilated convolutions replace the fully connected layers. No normalisation, no dropout. State
    dict keys are positions in the list of layers (``0.weight``, ``2.weight``, ...).

    Args:
        init_cfg: see mmengine's ``BaseModule``; ``None``: torch's default initialisation.
    """

    untrained = ('29.', '31.')  # key prefixes without ImageNet weights

    def __init__(self, init_cfg: dict | None = None) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for layer in LAYERS:
            if layer == 'pool':
                layers.append(nn.MaxPool2d(2))
                continue
            width, dilation = layer
            conv = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation)
            layers += [conv, nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers, init_cfg=init_cfg)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> one map (B, 1024, H // 8, W // 8)."""
        return [super().forward(images)]
