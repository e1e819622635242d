"""Batch norms that keep their running statistics in training."""

from typing import Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class NormEval(nn.Module):
    """Base class of modules with the option ``norm_eval`` of mmseg's ``ResNet``.

    With ``norm_eval`` all batch norms stay in evaluation mode while the rest is trained: they
    normalise with their running statistics and do not update them. Their weights and biases are
    trained as always.
    """

    norm_eval = False

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
