"""The unused projector in CaCo's fine-tuned network."""

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class Projector(BaseModule):
    """Entries of a projector that published checkpoints contain, without a forward pass.

    CaCo's fine-tuned network has two 1x1 convolutions with batch norm that were never used or
    trained. As a segmentor's ``auxiliary_head`` this module keeps their entries; a segmentor
    without it leaves them out when it reads a checkpoint.

    Args:
        in_channels, hidden, channels: input, hidden and output channels.
    """

    def __init__(self, in_channels: int = 1024, hidden: int = 2048, channels: int = 128) -> None:
        super().__init__()
        self.linear1 = nn.Conv2d(in_channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.linear2 = nn.Conv2d(hidden, channels, 1)
