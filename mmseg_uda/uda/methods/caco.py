"""CaCo: category contrast with a momentum network (Huang et al., CVPR 2022)."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components.category_learning import CategoryLearning
from mmseg_uda.uda.components.teacher import MOMENTUM_NETWORK, Teacher
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class CaCo(UDAMethod):
    """Category contrast: target features are drawn to keys of their class from both domains.

    A step: the teacher follows the student; supervised training on the source, whose features are
    added to the dictionary; the teacher predicts the target, and its features of confident pixels
    are added too; the student predicts the target rescaled by a random factor::

        loss = CE(f(x_s), y_s) + sum_l mean|softmax(f_l(rescale(x_t))) - p_l|
               + weight * contrast(features(rescale(x_t)), argmax p)

    with the teacher's probabilities p_l of each level l. There is no contrast until the dictionary
    is full. The published training also limits the norm of the gradient to 1: set
    ``optim_wrapper.clip_grad``. Its discriminators had no influence and are left out.

    Add-ons: target losses join the pass on the rescaled images.

    Args:
        teacher: options of :class:`Teacher`; default: constant momentum 0.999, copied buffers,
            training mode.
        contrast: options of :class:`CategoryLearning` (dictionary, domains, weight, consistency,
            scales, wait).
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: see :class:`Teacher` and :class:`CategoryLearning`.
    """

    def __init__(
        self,
        teacher: Mapping[str, Any] | None = None,
        contrast: Mapping[str, Any] | None = None,
        **options,
    ) -> None:
        super().__init__(**options)
        self.teacher = Teacher(self.student, **MOMENTUM_NETWORK | dict(teacher or {}))
        self.categories = CategoryLearning(self.student, **dict(contrast or {}))

    def init_weights(self) -> None:
        super().init_weights()
        self.student_loaded()

    def student_loaded(self) -> None:
        self.teacher.follow(self.student)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from super().problems(data)
        yield from self.categories.problems(data.dataset)

    def begin(self, batch: UDABatch) -> Step:
        """Start a training step: the teacher follows the student."""
        self.teacher.update(self.student, self.iteration)
        return super().begin(batch)

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.learn_source(step)
        yield self.learn_target(step)
        yield from self.further_passes(step)

    def learn_source(self, step: Step) -> Losses:
        """The losses on the source, whose features are added to the dictionary."""
        supervision = self.supervise_source(step)
        self.categories.add_source(supervision, step.batch.source.labels)
        return supervision.losses

    def learn_target(self, step: Step) -> Losses:
        """The losses on rescaled target images, by the teacher's predictions."""
        answer = self.teacher.answer(step.batch.target.images)
        reference = self.categories.add_target(answer)
        query, losses = self.categories.query_pass(self.student, reference, step.draws)
        return losses | self.target_losses(step, query)
