"""MinEnt: entropy minimisation on the target (ADVENT, Vu et al., CVPR 2019)."""

from collections.abc import Iterator
from math import log2

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.method import Losses, UDAMethod


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy (B, H, W) of class probabilities (B, C, H, W), as a share of its maximum log C."""
    information = -(probabilities * (probabilities + 1e-30).log2())
    return information.sum(dim=1) / log2(probabilities.shape[1])


@MODELS.register_module()
class MinEnt(UDAMethod):
    """Cross entropy on the source, and predictions on the target that are sure of themselves.

    Args:
        weight: of the target's mean entropy (lambda_ent).
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).
    """

    def __init__(self, weight: float = 0.001, **options) -> None:
        super().__init__(**options)
        self.weight = weight

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)
        images = batch.target.images

        # Learn from the source labels.
        yield self.supervise_source(step).losses

        # Be sure of the target's.
        logits = self.student.training_logits(images)
        probabilities = upscale(logits, images.shape[2:]).softmax(dim=1)
        yield {'ent.loss.main': self.weight * entropy(probabilities).mean()}
        del logits, probabilities

        yield from self.further_passes(step)
