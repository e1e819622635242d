"""Base class of add-ons that extend any UDA method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.models.forward_pass import ForwardPass, Supervision
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.step import Losses, Step


@dataclass(frozen=True)
class TrainingData:
    """What is known of the training data before the first step.

    Attributes:
        dataset: the built ``SourceTargetDataset``.
        num_classes: number of classes of the source data set.
        source_size, target_size: (height, width) of a batch's images in pixels; the target's is
            None where there is no target.
        sample: domain -> one sample, as of ``PackDomain``.
    """

    dataset: SourceTargetDataset
    num_classes: int
    source_size: tuple[int, int]
    target_size: tuple[int, int] | None
    sample: Mapping[str, Any]


class AddOn(nn.Module):
    """An add-on of a method. Override the hooks that it needs; state goes into buffers.

    In a step, for all add-ons in the order of the config:

    1. :meth:`source_losses`, in the student's pass on the source images;
    2. when the teacher labels the target images: :meth:`probabilities` and :meth:`reweight` of all
       add-ons, then :meth:`mask` of all (SePiCo does this before the source pass);
    3. :meth:`target_losses`, in a student's pass on the target images;
    4. :meth:`before_mixing`, then :meth:`mixed_losses` in the pass on class-mixed images;
    5. :meth:`passes`, further passes of the student;
    6. :meth:`after_step`, when the optimiser has moved the student.

    1, 5 and 6 happen in every method, 2 in those with pseudo-labels, 3 in those that train on
    target images as they are, 4 in self-training.
    """

    needs_pseudo_labels = False
    """Whether it has an effect only where target images are pseudo-labelled."""
    makes_pseudo_labels = False
    """Whether it labels target images with a teacher of its own."""

    def set_up(self, student: nn.Module) -> None:
        """Prepare for a student, once; its weights may not be initialised yet."""

    def after_init(self, student: nn.Module) -> None:
        """Called when the student has its initial (pretrained) weights."""

    def problems(self, data: TrainingData) -> Iterator[str]:
        """Before training: what of the add-on does not fit the data, one sentence each."""
        return iter(())

    def source_losses(self, step: Step, supervision: Supervision) -> Losses:
        """Losses to add to the source pass, e.g. on its features."""
        return {}

    def probabilities(self, step: Step, probabilities: Tensor) -> Tensor:
        """Better class probabilities (B, C, H, W) of ``step.batch.target``.

        ``step.answer`` has the teacher's features and logits.
        """
        return probabilities

    def reweight(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        """Better pseudo-labels or weights, in a new object."""
        return pseudo

    def mask(self, step: Step, weight: Tensor) -> Tensor:
        """The weight (B, H, W) of pseudo-labels, with 0 where they must not count."""
        return weight

    def target_losses(self, step: Step, target: ForwardPass) -> Losses:
        """Losses to add to a student's pass on ``step.batch.target``."""
        return {}

    def before_mixing(self, step: Step) -> Iterator[Losses]:
        """Passes of the student before class mixing: yields the losses of each."""
        return iter(())

    def mixed_losses(self, step: Step, supervision: Supervision) -> Losses:
        """Losses to add to the pass on the mixed images."""
        return {}

    def passes(self, step: Step) -> Iterator[Losses]:
        """Further passes of the student: yields the losses of each."""
        return iter(())

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step."""


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


def view_problems(
    kind: str, names: Sequence[str], data: TrainingData, domain: str = 'target'
) -> Iterator[str]:
    """A sentence if samples of a domain lack views, or if their geometries differ.

    Args:
        kind: the class that needs the views, for the sentence.
        names: of the views, which must have the same geometry.
        domain: 'source' or 'target'.
    """
    if domain == 'target' and data.target_size is None:
        return
    views = data.sample[domain].get('views', {})
    if missing := [name for name in names if name not in views]:
        yield (
            f'{kind} needs the views {" and ".join(map(repr, missing))} of {domain} images: add a '
            f'transform that makes them to train_dataloader.dataset.{domain}.pipeline'
        )
    elif any(not views[n]['geometry'].equal(views[names[0]]['geometry']) for n in names):
        yield (
            f'{kind} needs the same geometry of the views {" and ".join(map(repr, names))}: make '
            'them from the same crops of the image'
        )
