"""MinEnt: entropy minimisation on the target (ADVENT, Vu et al., CVPR 2019)."""

from collections.abc import Iterator, Mapping
from math import log2

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.components.levels import weights_of_levels
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step


def self_information(probabilities: Tensor) -> Tensor:
    """``-p_c log2 p_c`` of class probabilities (B, C, H, W), in the same shape."""
    return -(probabilities * (probabilities + 1e-30).log2())


def entropy(probabilities: Tensor) -> Tensor:
    """Normalised entropy of class probabilities (B, C, H, W): (B, H, W) in [0, 1].

    >>> import torch
    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]).view(2, 2, 1, 1)).flatten().tolist()
    [0.0, 1.0]
    """
    return self_information(probabilities).sum(dim=1) / log2(probabilities.shape[1])


@MODELS.register_module()
class MinEnt(UDAMethod):
    """Cross entropy on the source plus the entropy of target predictions.

    ``loss = CE(f(x_s), y_s) + weight * mean(E(x_t))`` with ``E = -sum_c p_c log p_c / log C``.

    Args:
        weight: of the mean entropy of the target (lambda_ent), or a mapping from the levels of a
            multi-level network to their weights; published: ``dict(main=1e-3, aux=2e-4)``.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: the network lacks a level of ``weight``.
    """

    def __init__(self, weight: float | Mapping[str, float] = 0.001, **options) -> None:
        super().__init__(**options)
        self.weights = weights_of_levels('MinEnt', weight, self.student)

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.supervise_source(step).losses
        yield self.minimise_entropy(step)
        yield from self.further_passes(step)

    def minimise_entropy(self, step: Step) -> Losses:
        """The weighted entropy of the student's predictions on the target images."""
        images = step.batch.target.images
        target = self.student.train_pass(images)
        losses: Losses = {}
        for level, weight in self.weights.items():
            logits = upscale(target.levels[level], images.shape[2:], self.student.align_corners)
            losses[f'ent.loss.{level}'] = weight * entropy(logits.softmax(dim=1)).mean()
        return losses | self.target_losses(step, target)
