"""CaCo's contrast with a category dictionary, in any method with pseudo-labels."""

from collections.abc import Iterator
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import Supervision
from mmseg_uda.uda.addon import AddOn, TrainingData
from mmseg_uda.uda.components.category_learning import CategoryLearning
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.components.teacher import Answer
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class CategoryContrast(AddOn):
    """One more student pass: rescaled target images are contrasted with keys of each class.

    The target losses of CaCo (Huang et al., CVPR 2022), see :class:`CategoryLearning`; the teacher
    is the host's. Where the host's pseudo-labels have weight 0, e.g. at ignored margins, pixels are
    neither keys nor queries.

    Args:
        options: of :class:`CategoryLearning` (dictionary, domains, weight, consistency, scales,
            wait).

    Raises:
        UserError: at the first step, in a host that makes no pseudo-labels; see also
            :class:`CategoryLearning`.
    """

    needs_pseudo_labels = True

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.answer: Answer | None = None

    def set_up(self, student: nn.Module) -> None:
        self.categories = CategoryLearning(student, **self.options)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from self.categories.problems(data.dataset)

    def source_losses(self, step: Step, supervision: Supervision) -> Losses:
        self.categories.add_source(supervision, step.batch.source.labels)
        return {}

    def reweight(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        if step.pseudo is None:  # not the labels of another add-on's teacher
            self.answer = step.answer
        return pseudo

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.query_pass(step)

    def query_pass(self, step: Step) -> Losses:
        """The losses on rescaled target images."""
        if step.pseudo is None:
            raise UserError(
                'CategoryContrast needs a method that pseudo-labels target images, such as '
                'SelfTraining: use such a method, or remove the add-on'
            )
        reference = self.categories.add_target(self.answer, step.pseudo.weight)
        self.answer = None  # its features need not be kept in memory
        return self.categories.query_pass(step.student, reference, step.draws)[1]
