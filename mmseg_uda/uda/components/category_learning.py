"""CaCo's losses on target images: contrast with a category dictionary and scale consistency."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import MAIN, ForwardPass, Levels
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.models.segmentors import Segmentor
from mmseg_uda.uda.components.category_dictionary import CategoryDictionary, filling_problems
from mmseg_uda.uda.components.draws import StepDraws
from mmseg_uda.uda.components.reduce_labels import nearest_labels
from mmseg_uda.uda.components.rescaling import CELL, rescale
from mmseg_uda.uda.components.teacher import Answer

DOMAINS = dict(source=('source',), target=('target',), both=('source', 'target'))


@dataclass(frozen=True)
class Reference:
    """The teacher's predictions of target images, which the student's are compared with.

    Attributes:
        images: (B, 3, H, W).
        probabilities: of each level, (B, C, h, w) at the head's stride.
        labels: (B, h', w') int64 at the stride of the last features, 255 = ignore.
    """

    images: Tensor
    probabilities: Levels
    labels: Tensor


class CategoryLearning(nn.Module):
    """Dictionary, query pass and losses of CaCo (Huang et al., CVPR 2022).

    The student's source features and the teacher's target features fill the dictionary. The student
    predicts rescaled target images. Its predictions and features are resized to the size of the
    teacher's, and with the teacher's probabilities p and their arg-max y the losses are::

        consistency * sum_l mean|softmax(f_l(rescaled)) - p_l| + weight * contrast(features, y)

    with a sum over the levels l of the network. The last features of the backbone are used.

    Args:
        student: the network that is trained.
        dictionary: options of :class:`CategoryDictionary` (capacity, confidence, temperature,
            clamp).
        domains: whose images fill the dictionary: 'source', 'target' or 'both'.
        weight: of the contrast.
        consistency: weight of the scale consistency.
        scales: smallest and largest factor of the rescaled images; it is drawn in steps of 1 %, and
            the largest one is excluded.
        wait: no contrast until every place of the dictionary is filled, as published. Otherwise
            all keys that there are count.

    Raises:
        UserError: unknown ``domains``, or ``scales`` that are not increasing and positive.

    >>> from types import SimpleNamespace
    >>> from mmseg_uda.models.forward_pass import View
    >>> student = SimpleNamespace(num_classes=2, feature_channels=1)
    >>> categories = CategoryLearning(student, dictionary=dict(capacity=1))
    >>> source = ForwardPass([View([torch.tensor([[[[2.0, 4.0]]]])])], logits=None)
    >>> categories.add_source(source, torch.tensor([[[0, 1]]]))
    >>> categories.dictionary.keys.flatten().tolist(), categories.dictionary.is_full()
    ([2.0, 4.0], True)
    """

    def __init__(
        self,
        student: Segmentor,
        dictionary: Mapping[str, Any] | None = None,
        domains: Literal['source', 'target', 'both'] = 'both',
        weight: float = 0.01,
        consistency: float = 1.0,
        scales: Sequence[float] = (0.8, 1.2),
        wait: bool = True,
    ) -> None:
        super().__init__()
        if domains not in DOMAINS:
            raise UserError(
                f'dictionary: domains is {domains!r}, it must be one of {", ".join(DOMAINS)}'
            )
        self.percent = tuple(round(100 * scale) for scale in scales)
        if len(self.percent) != 2 or not 0 < self.percent[0] < self.percent[1]:
            raise UserError(
                f'scales of rescaled target images are {tuple(scales)}, they must be a smaller and '
                'a larger number above 0, such as (0.8, 1.2)'
            )
        self.dictionary = CategoryDictionary(
            student.num_classes, student.feature_channels, **dict(dictionary or {})
        )
        self.domains = DOMAINS[domains]
        self.weight = weight
        self.consistency = consistency
        self.wait = wait

    def problems(self, dataset: SourceTargetDataset) -> Iterator[str]:
        """Before training: a sentence if the contrast would never start."""
        if self.wait:
            yield from filling_problems(dataset)

    def add_source(self, source: ForwardPass, labels: Tensor) -> None:
        """Add the student's pass on source images with labels (B, H, W) to the dictionary."""
        if 'source' in self.domains:
            self.dictionary.add_labelled(source.features[-1].detach(), labels)

    @torch.no_grad()
    def add_target(self, answer: Answer, weight: Tensor | None = None) -> Reference:
        """Add the teacher's predictions of target images to the dictionary.

        Args:
            answer: the teacher's output.
            weight: (B, H, W), of pseudo-labels; where it is 0, pixels are neither keys nor queries.
        """
        features, levels = answer.features[-1], answer.levels
        size = features.shape[2:]
        probabilities = upscale(levels[MAIN], size, answer.align_corners).softmax(dim=1)
        labels, valid = probabilities.argmax(dim=1), None
        if weight is not None:
            valid = nearest_labels(weight > 0, size).bool()
            labels = labels.masked_fill(~valid, IGNORE)
        if 'target' in self.domains:
            self.dictionary.add_predicted(features, probabilities, valid)
        of_levels = {name: at_least_float32(x).softmax(dim=1) for name, x in levels.items()}
        return Reference(answer.images, of_levels, labels)

    def query_pass(
        self, student: Segmentor, reference: Reference, draws: StepDraws
    ) -> tuple[ForwardPass, dict[str, Tensor]]:
        """The student's pass on the rescaled images, with its losses."""
        percent = draws.percentage(*self.percent)
        images = rescale(reference.images, percent, lcm(CELL, student.size_divisor))
        query = student.train_pass(images)
        losses: dict[str, Tensor] = {}
        if self.consistency:
            for name, expected in reference.probabilities.items():
                logits = upscale(query.levels[name], expected.shape[2:], student.align_corners)
                distance = F.l1_loss(logits.softmax(dim=1), expected)
                losses[f'caco.loss_consistency.{name}'] = self.consistency * distance
        if not self.wait or self.dictionary.is_full():  # asked after the pass: no idle device
            contrast = self.contrast(query, reference, student.align_corners)
            losses['caco.loss_contrast'] = self.weight * contrast
        losses['caco.keys'] = 1.0 * self.dictionary.lengths.sum()
        return query, losses

    def contrast(self, query: ForwardPass, reference: Reference, align_corners: bool) -> Tensor:
        """Contrast of a pass's features with all keys that there are, 0-dim."""
        features = upscale(query.features[-1], reference.labels.shape[1:], align_corners)
        return self.dictionary.contrast(features, reference.labels)
