"""CaCo's fine-tuning on pseudo-labels of its warm-up, by class balance and category contrast."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData, view_problems
from mmseg_uda.uda.components.category_dictionary import CategoryDictionary
from mmseg_uda.uda.components.class_balance import ClassBalance
from mmseg_uda.uda.components.teacher import MOMENTUM_NETWORK, Teacher
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step

KEY_LABELS = 'augmented', 'plain'


@MODELS.register_module()
class CategoryRetraining(UDAMethod):
    """Supervised training on pseudo-labelled target images, which take the place of the source.

    The second training ("vanilla") of CaCo (Huang et al., CVPR 2022), after Seg-Uncertainty (Zheng
    and Yang, IJCV 2021). A step: a momentum network follows the student; its features of plain
    crops x are added to the dictionary; the student is trained on the augmented crops a(x)::

        loss = sum_l weight_l mean(W_y CE(f_l(a(x)), y)) + weight * contrast(features(a(x)), y)

    with class weights W, see :class:`ClassBalance`, and the levels l of the network. The contrast
    does not wait until the dictionary is full. The mean is over all pixels with the segmentor's
    ``average='all'``. Source samples need the view 'plain', see ``PairedCrop``.

    Args:
        teacher: options of :class:`Teacher`; default: constant momentum 0.999, copied buffers,
            training mode.
        dictionary: options of :class:`CategoryDictionary` (capacity, temperature, clamp).
        weight: of the contrast.
        balance: options of :class:`ClassBalance` (largest, momentum, min_pixels).
        key_labels: labels of the plain crops: the 'plain' ones, or, as published, the 'augmented'
            ones, whose pixels are at the same places only roughly.
        target_pass: as published, the student also sees the target images, which changes the
            running statistics of batch norm and nothing else.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: unknown ``key_labels``; see also :class:`Teacher` and
            :class:`CategoryDictionary`.
    """

    needs_target = False

    def __init__(
        self,
        teacher: Mapping[str, Any] | None = None,
        dictionary: Mapping[str, Any] | None = None,
        weight: float = 0.1,
        balance: Mapping[str, Any] | None = None,
        key_labels: Literal['augmented', 'plain'] = 'augmented',
        target_pass: bool = True,
        **options,
    ) -> None:
        super().__init__(**options)
        if key_labels not in KEY_LABELS:
            raise UserError(
                f'CategoryRetraining: key_labels is {key_labels!r}, it must be one of '
                f'{", ".join(KEY_LABELS)}'
            )
        student = self.student
        self.teacher = Teacher(student, **MOMENTUM_NETWORK | dict(teacher or {}))
        self.dictionary = CategoryDictionary(
            student.num_classes, student.feature_channels, **dict(dictionary or {})
        )
        self.weight = weight
        self.balance = ClassBalance(student.num_classes, **dict(balance or {}))
        self.key_labels = key_labels
        self.target_pass = target_pass

    def init_weights(self) -> None:
        super().init_weights()
        self.student_loaded()

    def student_loaded(self) -> None:
        self.teacher.follow(self.student)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from super().problems(data)
        yield from view_problems('CategoryRetraining', ('plain',), data, 'source')
        if self.target_pass and data.target_size is None:
            yield (
                'CategoryRetraining.target_pass needs target images: set '
                'train_dataloader.dataset.target, or model.target_pass=False'
            )

    def begin(self, batch: UDABatch) -> Step:
        """Start a training step: the momentum network follows the student."""
        self.teacher.update(self.student, self.iteration)
        return super().begin(batch)

    def passes(self, step: Step) -> Iterator[Losses]:
        self.add_keys(step)
        yield self.learn_labels(step)
        if self.target_pass:
            self.see_target(step)
        yield from self.further_passes(step)

    def add_keys(self, step: Step) -> None:
        """Add the momentum network's features of the plain crops to the dictionary."""
        source = step.batch.source
        plain = source.views['plain']
        labels = source.labels if self.key_labels == 'augmented' else plain.labels[:, 0]
        self.dictionary.add_labelled(self.teacher.features(plain.images[:, 0])[-1], labels)

    def learn_labels(self, step: Step) -> Losses:
        """Weighted cross entropy and contrast on the augmented crops."""
        labels = step.batch.source.labels
        class_weight = self.balance.update(labels)
        weight = class_weight[labels.masked_fill(labels == IGNORE, 0)]
        supervision = self.supervise_source(step, weight=weight)
        contrast = self.dictionary.contrast(supervision.features[-1], labels)
        keys = 1.0 * self.dictionary.lengths.sum()
        own = {'caco.loss_contrast': self.weight * contrast, 'caco.keys': keys}
        return supervision.losses | own

    @torch.no_grad()
    def see_target(self, step: Step) -> None:
        """Let the running statistics of batch norm follow the target images."""
        _ = self.student.train_pass(step.batch.target.images).levels  # runs the heads' norms, too
