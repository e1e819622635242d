"""The state of one training step, which methods and add-ons share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.uda.components.draws import StepDraws
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels, pseudo_labels
from mmseg_uda.uda.components.teacher import Answer, Teacher

if TYPE_CHECKING:
    from mmseg_uda.uda.addon import AddOn

Losses = dict[str, Tensor]


@dataclass
class Labelled:
    """Images with the labels to train on.

    Attributes:
        images: (B, 3, H, W).
        labels: (B, H, W) int64.
        weight: (B, H, W) float, factor of each pixel's loss; ``None`` = 1.
    """

    images: Tensor
    labels: Tensor
    weight: Tensor | None = None


@dataclass
class Step:
    """The state of a training step; fields are filled as the step proceeds.

    Attributes:
        batch: source and target images; SePiCo crops the target.
        student: the segmentor that is trained.
        draws: the random draws of the step.
        iteration: counted from 0.
        pasted: the source whose classes are pasted onto the target: the batch's, unless an add-on
            replaces it.
        mean, std: (3, 1, 1) in 0..255, with which images were normalised.
        addons: in the order of the config.
        trains_on_target: whether the method itself trains on target images.
        teacher: of methods that have one.
        pseudo: pseudo-labels of the target images, of methods that make them.
        mixed: class-mixed images after strong augmentation, likewise.
        answer: the teacher's output for the target images while they are labelled.
        asked: images and the teacher's output for them, likewise, see :meth:`ask`.
    """

    batch: UDABatch
    student: nn.Module
    draws: StepDraws
    iteration: int
    pasted: DomainBatch
    mean: Tensor
    std: Tensor
    addons: Sequence['AddOn'] = ()
    trains_on_target: bool = True
    teacher: Teacher | None = None
    pseudo: PseudoLabels | None = None
    mixed: Labelled | None = None
    answer: Answer | None = None
    asked: list[tuple[Tensor, Answer]] = field(default_factory=list, repr=False)

    def ask(self, images: Tensor) -> Answer:
        """The teacher's output for images (..., 3, H, W), whose leading axes are flattened.

        Until the target images are labelled, it is computed once for the same tensor.
        """
        for known, answer in self.asked:
            if known is images:
                return answer
        answer = self.teacher.answer(images.flatten(0, -4))
        self.asked.append((images, answer))
        return answer

    def probabilities(self) -> Tensor:
        """Class probabilities (B, C, H, W) of the target images, by the teacher and the add-ons."""
        self.answer = self.ask(self.batch.target.images)
        probabilities = self.answer.probabilities()
        for addon in self.addons:
            probabilities = addon.probabilities(self, probabilities)
        return probabilities

    def label_target(self) -> PseudoLabels:
        """Pseudo-labels of the target images, by the teacher and the add-ons."""
        pseudo = pseudo_labels(self.probabilities(), self.teacher.threshold)
        for addon in self.addons:
            pseudo = addon.reweight(self, pseudo)
        self.answer = None  # its features need not be kept in memory
        self.asked.clear()
        return replace(pseudo, weight=self.mask(pseudo.weight))

    def mask(self, weight: Tensor) -> Tensor:
        """Weights (B, H, W) with 0 where an add-on masks the target images."""
        for addon in self.addons:
            weight = addon.mask(self, weight)
        return weight
