"""VGG-16 as a fully convolutional backbone of output stride 8."""

from mmengine.model import Sequential
from mmseg.registry import MODELS
from torch import Tensor, nn

# Output channels and dilation of the 3x3 convolutions; 'pool' halves the map.
LAYERS = (
    *((64, 1), (64, 1), 'pool'),
    *((128, 1), (128, 1), 'pool'),
    *((256, 1), (256, 1), (256, 1), 'pool'),
    *((512, 1), (512, 1), (512, 1)),
    *((512, 2), (512, 2), (512, 2)),
    *((1024, 4), (1024, 4)),  # in place of the fully connected layers
)


@MODELS.register_module()
class DilatedVGG16(Sequential):
    """VGG-16 (Simonyan and Zisserman, ICLR 2015) in DeepLab's form, as FADA and SDCA use it.

    The last two pools are left out, the layers behind them dilated, and two dilated convolutions
    stand in place of the fully connected layers. No normalisation, no dropout. The layers are a
    flat list, so the state dict's keys are positions (``0.weight``, ``2.weight``, ...).

    ImageNet weights are for all but the last two convolutions, see ``untrained``.

    Args:
        init_cfg: mmengine's, for training from scratch; default torch's own initial weights.
    """

    untrained = ('29.', '31.')  # entries that no ImageNet file has

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
