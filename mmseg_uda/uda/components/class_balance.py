"""Class weights that follow the labels of the training batches."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmseg_uda.uda.components.class_memory import class_members


class ClassBalance(nn.Module):
    """Larger weights of classes with few pixels in this batch, and of those often absent.

    As in CaCo's fine-tuning and Seg-Uncertainty (Zheng and Yang, IJCV 2021). The weight of a class
    is the product of two factors::

        rare:   largest if the class has fewer than min_pixels pixels per image of the batch, else 1
        absent: moving average, from 1, of: largest if the batch has no pixel of the class, else 1

    The batch is that of all ranks. The moving average is in a buffer, hence in checkpoints.

    Args:
        num_classes: C.
        largest: largest value of each factor.
        momentum: of the moving average.
        min_pixels: see above.

    >>> balance = ClassBalance(num_classes=2, largest=7.0, min_pixels=1)
    >>> [round(weight, 2) for weight in balance.update(torch.zeros(1, 2, 2).long()).tolist()]
    [1.0, 11.2]
    """

    absent: Tensor

    def __init__(
        self,
        num_classes: int,
        largest: float = 7.0,
        momentum: float = 0.9,
        min_pixels: int = 64 * 64,
    ) -> None:
        super().__init__()
        self.largest = largest
        self.momentum = momentum
        self.min_pixels = min_pixels
        self.register_buffer('absent', torch.ones(num_classes))

    @torch.no_grad()
    def update(self, labels: Tensor) -> Tensor:
        """Count the labels (B, H, W), 255 = ignore, of a batch; returns the weights (C,)."""
        count = class_members(labels, len(self.absent), torch.bool).sum(dim=(0, 2))
        all_reduce(count)
        least = self.min_pixels * len(labels) * get_world_size()
        self.absent.lerp_(self._factor(count == 0), 1 - self.momentum)
        return self._factor(count < least) * self.absent

    def _factor(self, classes: Tensor) -> Tensor:
        """(C,) bool -> the largest factor where True, else 1."""
        return torch.ones_like(self.absent).masked_fill(classes, self.largest)
