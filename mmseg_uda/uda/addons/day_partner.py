"""Pseudo-labels by night with the help of an image of the same place by day."""

from collections.abc import Iterator, Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.uda.addon import AddOn, Step, TrainingData, class_problems

CONFIDENT = 0.4  # probability by day from which a static class follows the day image


@MODELS.register_module()
class DayPartner(AddOn):
    """Mixes the teacher's probabilities by day into those by night, for classes that stand still.

    As in DANNet and SePiCo's Cityscapes -> Dark Zurich. A day image is taken from about the same
    place: what does not move between the two drives has the same label in both. The target data set
    must give day images (``DarkZurichDayNightDataset`` with ``LoadDayPartner``).

    Args:
        ratio: share of the day's probability where it is above 0.4; below, the share is
            1 - ``ratio``.
        classes: train ids of the classes that stand still; all others keep the night's probability.
        class_weight: factors of the result, which then does not sum to 1 (as published); see
            :func:`mmseg_uda.models.class_weights.class_weights`.
    """

    def __init__(
        self,
        ratio: float = 0.8,
        classes: Sequence[int] = (0, 1, 2, 3, 4, 8, 9, 10),
        class_weight: Sequence[float] | dict | None = None,
    ) -> None:
        super().__init__()
        self.ratio = ratio
        self.classes = list(classes)
        weight = class_weights(class_weight)
        weight = torch.ones(()) if weight is None else weight.view(-1, 1, 1)
        self.register_buffer('weight', weight, persistent=False)

    def set_up(self, student) -> None:
        static = torch.tensor([float(c in self.classes) for c in range(student.num_classes)])
        self.register_buffer('static', static.view(-1, 1, 1), persistent=False)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from class_problems('DayPartner.classes', self.classes, data.num_classes)

    @torch.no_grad()
    def probabilities(self, step: Step, probabilities: Tensor) -> Tensor:
        return self.mix(step.teacher.probabilities(step.batch.target.day), probabilities)

    def mix(self, day: Tensor, night: Tensor) -> Tensor:
        """Probabilities (B, C, H, W) by day and by night -> mixed and weighted."""
        share = torch.where(day > CONFIDENT, self.ratio, 1 - self.ratio) * self.static
        return self.weight * torch.lerp(night, day, share)
