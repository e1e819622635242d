"""Domain discriminators: they classify predictions or features as source or target."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Module):
    """Fully convolutional domain classifier: five 4x4 convolutions of stride 2.

    From AdaptSegNet (Tsai et al., CVPR 2018), after DCGAN. LeakyReLU with slope 0.2 between the
    convolutions, no normalisation.

    Args:
        in_channels: channels of the input maps, e.g. the number of classes.
        channels: output channels of the first convolution; each of the next three doubles them.
    """

    def __init__(self, in_channels: int, channels: int = 64) -> None:
        super().__init__()
        widths = [in_channels, channels, 2 * channels, 4 * channels, 8 * channels]
        for i in range(4):
            self.add_module(f'conv{i + 1}', nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1))
        self.classifier = nn.Conv2d(widths[4], 1, 4, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> logits (B, 1, H // 32, W // 32) of the domain with label 1."""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            maps = F.leaky_relu(conv(maps), 0.2)
        return self.classifier(maps)


class PixelDiscriminator(nn.Module):
    """Class-wise domain classifier of feature maps: 3x3 convolutions.

    From FADA (Wang et al., ECCV 2020). Two shared convolutions with 256 and 128 channels, each with
    LeakyReLU of slope 0.2, then one convolution per domain to its classes.

    Args:
        in_channels: channels of the features.
        num_classes: number of classes C; the output has 2C channels.
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
        """Features (B, D, h, w) -> logits (B, 2C, h, w): source classes, then target classes."""
        shared = self.D(features)
        return torch.cat((self.cls1(shared), self.cls2(shared)), dim=1)
