"""What joins a self-training method without the method knowing it: the base class of add-ons."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.models.segmentors import Supervision
from mmseg_uda.uda.draws import StepDraws
from mmseg_uda.uda.method import Losses
from mmseg_uda.uda.pseudo_labels import PseudoLabels
from mmseg_uda.uda.teacher import Teacher


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
    """What a self-training step knows so far; fields fill up as it goes on.

    ``pasted`` is the source whose classes are pasted onto the target: the batch's, unless a part
    finds a better one.
    """

    batch: UDABatch
    student: nn.Module
    draws: StepDraws
    iteration: int
    triggers: tuple[float, float]
    pasted: DomainBatch
    pseudo: PseudoLabels | None = None
    mixed: Mixed | None = None
    teacher: Teacher | None = None


class Part(nn.Module):
    """An add-on of a self-training method. Override what it needs; state goes into buffers.

    The method calls, in this order and for its parts in the order of the config:
    :meth:`source_losses` inside the source pass, :meth:`probabilities` and :meth:`refine` when the
    teacher labels the target images, :meth:`before_mixing` between these, :meth:`mixed_losses`
    inside the mixed pass, and :meth:`passes` at the end. (SePiCo labels before it learns.)
    """

    def set_up(self, student: nn.Module) -> None:
        """Called once, when the student is built (its weights may not be initialised yet)."""

    def after_init(self, student: nn.Module) -> None:
        """Called when the student has its initial (pretrained) weights."""

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
