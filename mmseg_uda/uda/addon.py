"""What joins a method without the method knowing it: the base class of add-ons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.models.segmentors import Supervision
from mmseg_uda.uda.components.draws import StepDraws
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels, pseudo_labels
from mmseg_uda.uda.components.teacher import Teacher

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingData:
    """What is known of the training data before the first step.

    Attributes:
        dataset: the built ``SourceTargetDataset``.
        num_classes: number of classes of the source data set.
        source_size, target_size: (height, width) of a batch's images in pixels; the target's is
            None where there is no target.
        sample: one sample of each domain, as ``SourceTargetDataset`` returns them.
    """

    dataset: SourceTargetDataset
    num_classes: int
    source_size: tuple[int, int]
    target_size: tuple[int, int] | None
    sample: Mapping[str, Any]


@dataclass
class Mixed:
    """Mixed images with what they are trained on.

    Attributes:
        images: (B, 3, H, W), before and after strong augmentation the same field.
        labels: (B, H, W) int64.
        weight: (B, H, W) float.
    """

    images: Tensor
    labels: Tensor
    weight: Tensor


@dataclass
class Step:
    """What a training step knows so far; fields fill up as it goes on.

    ``pasted`` is the source whose classes are pasted onto the target: the batch's, unless an add-on
    finds a better one. ``triggers`` of colour jitter and blur, ``pseudo``, ``mixed`` and
    ``teacher`` belong to self-training; other methods leave them as they are. Images were
    normalised with ``mean`` and ``std``, (3, 1, 1) in 0..255.
    """

    batch: UDABatch
    student: nn.Module
    draws: StepDraws
    iteration: int
    pasted: DomainBatch
    mean: Tensor
    std: Tensor
    addons: Sequence['AddOn'] = ()
    triggers: tuple[float, float] = (0.0, 0.0)
    pseudo: PseudoLabels | None = None
    mixed: Mixed | None = None
    teacher: Teacher | None = None

    def probabilities(self) -> Tensor:
        """Class probabilities (B, C, H, W) of the target images, by the teacher and the add-ons."""
        probabilities = self.teacher.probabilities(self.batch.target.images)
        for addon in self.addons:
            probabilities = addon.probabilities(self, probabilities)
        return probabilities

    def label_target(self) -> PseudoLabels:
        """Pseudo-labels of the target images, by the teacher and the add-ons."""
        pseudo = pseudo_labels(self.probabilities(), self.teacher.threshold)
        for addon in self.addons:
            pseudo = addon.refine(self, pseudo)
        return pseudo


class AddOn(nn.Module):
    """An add-on of a method. Override what it needs; state goes into buffers.

    Every method calls, for its add-ons in the order of the config, :meth:`source_losses` inside the
    source pass and :meth:`passes` after its own passes. Self-training also calls, between these,
    :meth:`probabilities` and :meth:`refine` when the teacher labels the target images, then
    :meth:`before_mixing`, and :meth:`mixed_losses` inside the mixed pass. (SePiCo labels before it
    learns.)
    """

    def set_up(self, student: nn.Module) -> None:
        """Called once, when the student is built (its weights may not be initialised yet)."""

    def after_init(self, student: nn.Module) -> None:
        """Called when the student has its initial (pretrained) weights."""

    def problems(self, data: TrainingData) -> Iterator[str]:
        """Called before training: what of the add-on does not fit the data, one sentence each."""
        return iter(())

    def source_losses(self, step: Step, supervision: Supervision) -> Losses:
        """Losses to add to the source pass, e.g. on its features."""
        return {}

    def probabilities(self, step: Step, probabilities: Tensor) -> Tensor:
        """Better class probabilities (B, C, H, W) of ``step.batch.target``, to label it by."""
        return probabilities

    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        """Better pseudo-labels or weights."""
        return pseudo

    def before_mixing(self, step: Step) -> Iterator[Losses]:
        """Student forwards on the target as it is: yields the losses of each."""
        return iter(())

    def mixed_losses(self, step: Step, supervision: Supervision) -> Losses:
        """Losses to add to the pass on the mixed images."""
        return {}

    def passes(self, step: Step) -> Iterator[Losses]:
        """Further student forwards: yields the losses of each."""
        return iter(())


def class_problems(option: str, classes: Sequence[int], num_classes: int) -> Iterator[str]:
    """A sentence if an option lists train ids that are no class of the data.

    Args:
        option: its name for the sentence, e.g. ``FeatureDistance.classes``.
    """
    if unknown := [train_id for train_id in classes if not 0 <= train_id < num_classes]:
        yield (
            f'{option} lists {", ".join(map(str, unknown))}, but the data set has {num_classes} '
            f'classes (0..{num_classes - 1}): list train ids of your own classes'
        )
