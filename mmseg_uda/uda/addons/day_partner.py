"""Night-time pseudo-labels that use a day-time image of the same place."""

from collections.abc import Iterator, Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.uda.addon import AddOn, TrainingData, class_problems
from mmseg_uda.uda.step import Step

CONFIDENT = 0.4  # probability by day above which a static class follows the day image


@MODELS.register_module()
class DayPartner(AddOn):
    """Mixes the teacher's probabilities by day into those by night, for static classes.

    As in DANNet (Wu et al., CVPR 2021) and SePiCo's Cityscapes -> Dark Zurich: static objects have
    the same label in a day image of about the same place. The target data set must provide day
    images (``DarkZurichDayNightDataset`` with ``LoadDayPartner``).

    Args:
        ratio: share of the day's probability where that exceeds 0.4; elsewhere the share is
            1 - ``ratio``.
        classes: train ids of static classes; all others keep the night's probability.
        class_weight: factors of the result, which then does not sum to 1 (as published); see
            :func:`mmseg_uda.models.class_weights.class_weights`.
    """

    needs_pseudo_labels = True

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
        day = step.teacher.answer(step.batch.target.day).probabilities()
        return self.mix(day, probabilities)

    def mix(self, day: Tensor, night: Tensor) -> Tensor:
        """Mix and weight probabilities by day and by night, (B, C, H, W) each."""
        share = torch.where(day > CONFIDENT, self.ratio, 1 - self.ratio) * self.static
        return self.weight * torch.lerp(night, day, share)
