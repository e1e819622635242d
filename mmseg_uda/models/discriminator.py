"""The networks that tell source from target by what a segmentor makes of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Module):
    """Fully convolutional domain classifier: five 4 x 4 convolutions of stride 2.

    Of AdaptSegNet (Tsai et al., CVPR 2018), which took it from DCGAN. LeakyReLU 0.2 between the
    convolutions, no normalisation.

    Args:
        in_channels: of the maps to judge, e.g. the number of classes.
        channels: of the first convolution; each of the next three has twice as many.
    """

    def __init__(self, in_channels: int, channels: int = 64) -> None:
        super().__init__()
        widths = [in_channels, channels, 2 * channels, 4 * channels, 8 * channels]
        for i in range(4):
            self.add_module(f'conv{i + 1}', nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1))
        self.classifier = nn.Conv2d(widths[4], 1, 4, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> scores (B, 1, h, w) at stride 32, high where it sees label 1."""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            maps = F.leaky_relu(conv(maps), 0.2)
        return self.classifier(maps)


class PixelDiscriminator(nn.Module):
    """Classifies every cell of a feature map by its class and its domain: 3 x 3 convolutions.

    Of FADA (Wang et al., ECCV 2020). LeakyReLU 0.2 after the two common convolutions, of 256 and
    128 channels, then one convolution for the classes of each domain.

    Args:
        in_channels: of the features.
        num_classes: C, of each domain.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.D = nn.Sequential(
            nn.Conv2d(in_channels, 256, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 128, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.cls1 = nn.Conv2d(128, num_classes, 3, padding=1)
        self.cls2 = nn.Conv2d(128, num_classes, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, A, h, w) -> logits (B, 2C, h, w), the source's classes come first."""
        common = self.D(features)
        return torch.cat((self.cls1(common), self.cls2(common)), dim=1)
