"""The mean teacher: an exponential moving average (EMA) of the student."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmseg_uda.models.precision import at_least_float32


class Teacher(nn.Module):
    """Labels target images; follows the student as an EMA of its parameters.

    As in DACS (Tranheden et al., WACV 2021) and DAFormer (Hoyer et al., CVPR 2022): dropout and
    drop path are off, BatchNorm uses the statistics of the batch it labels, and buffers are the
    teacher's own (never averaged).

    Args:
        student: the segmentor to follow.
        alpha: upper limit of the EMA momentum.
        threshold: confidence that makes a pseudo-label count as certain; ``None``: any does.
    """

    def __init__(
        self, student: nn.Module, alpha: float = 0.999, threshold: float | None = 0.968
    ) -> None:
        super().__init__()
        self.network = deepcopy(student).requires_grad_(False)
        self.alpha = alpha
        self.threshold = threshold

    @torch.no_grad()
    def update(self, student: nn.Module, iteration: int) -> None:
        """Move towards the student as it stands *before* step ``iteration`` (counted from 0).

        The momentum min(1 - 1/(iteration + 1), alpha) makes the first updates a plain average;
        at iteration 0 it is 0, a copy.
        """
        momentum = min(1 - 1 / (iteration + 1), self.alpha)
        torch._foreach_lerp_(
            list(self.network.parameters()), list(student.parameters()), 1 - momentum
        )

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (B, C, H, W) of ``images`` (B, 3, H, W)."""
        return at_least_float32(self.network.logits(images)).softmax(dim=1)

    def train(self, mode: bool = True) -> 'Teacher':
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, _DropoutNd) or type(module).__name__ == 'DropPath':
                module.eval()
        return self
