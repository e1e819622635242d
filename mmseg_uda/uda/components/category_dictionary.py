"""CaCo's category dictionary: keys of each class, from images of both domains."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.source_labels import absent_classes
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.components.category_contrast import category_loss
from mmseg_uda.uda.components.class_memory import (
    ClassRings,
    all_images,
    class_members,
    class_sums,
)
from mmseg_uda.uda.components.host_copy import HostCopy
from mmseg_uda.uda.components.reduce_labels import nearest_labels


class CategoryDictionary(ClassRings):
    """Keys of each class with their class probabilities, and the contrast with them.

    CaCo (Huang et al., CVPR 2022). Each image adds one key to the queue of each of its classes: the
    mean feature of the class's cells. Both domains share the queues. A key's ``probabilities`` are
    the mean prediction for these cells, one-hot where there are labels; keys with certain
    predictions are more reliable. The images of all ranks are added, in image order. Features are
    neither normalised nor given a gradient.

    Args:
        num_classes: C.
        channels: A, of the features.
        capacity: keys of a class (M).
        confidence: probability below which a target cell is ignored.
        temperature: of the contrast.
        clamp: a key's reliability is 1 - H / ln C + clamp, limited to 1 - clamp and 1 + clamp,
            where H is the entropy of its probabilities.

    Raises:
        UserError: a capacity below 1, or a clamp that is not between 0 and 1.

    >>> dictionary = CategoryDictionary(num_classes=2, channels=1, capacity=1)
    >>> features, labels = torch.tensor([[[[2.0, 4.0, 7.0]]]]), torch.tensor([[[0, 0, 1]]])
    >>> dictionary.add_labelled(features, labels)
    >>> dictionary.keys.flatten().tolist(), dictionary.is_full()
    ([3.0, 7.0], True)
    """

    keys: Tensor
    probabilities: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        capacity: int = 100,
        confidence: float = 0.9,
        temperature: float = 0.07,
        clamp: float = 0.1,
    ) -> None:
        if capacity < 1:
            raise UserError(f'dictionary.capacity is {capacity}, it must be 1 or more keys')
        if not 0 <= clamp < 1:
            raise UserError(f'dictionary.clamp is {clamp}, it must be at least 0 and below 1')
        shapes = dict(keys=(channels,), probabilities=(num_classes,))
        super().__init__(num_classes, capacity, **shapes)
        self.num_classes = num_classes
        self.confidence = confidence
        self.temperature = temperature
        self.clamp = clamp
        # The dictionary is not full before this number of further images; 0: may be full.
        self._missing = capacity
        self._is_full = False
        self._lengths: HostCopy | None = None  # of the last images that may have filled it

    def add_labelled(self, features: Tensor, labels: Tensor) -> None:
        """Add the images of a labelled domain.

        Args:
            features: (B, A, h, w).
            labels: (B, H, W) int64, 255 = ignore; resized to (h, w) by nearest pixels.
        """
        self._add(features, nearest_labels(labels, features.shape[2:]))

    def add_predicted(
        self, features: Tensor, probabilities: Tensor, valid: Tensor | None = None
    ) -> None:
        """Add images by their confident predictions.

        Args:
            features: (B, A, h, w).
            probabilities: (B, C, h, w), compared with ``confidence`` in float32.
            valid: (B, h, w) bool, cells that may be used; ``None``: all.
        """
        probabilities = at_least_float32(probabilities)
        confidence, labels = probabilities.max(dim=1)
        labels = labels.masked_fill(confidence < self.confidence, IGNORE)
        if valid is not None:
            labels = labels.masked_fill(~valid, IGNORE)
        self._add(features, labels, probabilities)

    @torch.no_grad()
    def _add(self, features: Tensor, labels: Tensor, probabilities: Tensor | None = None) -> None:
        with torch.autocast(features.device.type, enabled=False):
            features = at_least_float32(features).flatten(2)  # (B, A, N)
            members = class_members(labels, self.num_classes, features.dtype)  # (B, C, N)
            probabilities = members if probabilities is None else probabilities.flatten(2)
            sums = [class_sums(maps, members) for maps in (features, probabilities)]
            sums.append(members.sum(dim=2, keepdim=True))
            images = all_images(torch.cat(sums, dim=2))  # (images of all ranks, C, A + C + 1)
        for image in images:
            count = image[:, -1:]
            keys, means = (image[:, :-1] / count.clamp(min=1)).split(
                (features.shape[1], self.num_classes), dim=1
            )
            self.append(count.squeeze(1) > 0, keys=keys, probabilities=means)
        self._missing -= len(images)
        if self._missing <= 0 and not self._is_full:
            self._lengths = HostCopy(self.lengths)

    def is_full(self) -> bool:
        """Whether every place of every class holds a key; once full, it stays so.

        The lengths are read on the host, from a copy that :meth:`_add` starts: queue a pass of a
        network between the two, and the device does not idle. They are read only when enough images
        were added since the last time, and no more when the dictionary is full. All ranks get the
        same answer.
        """
        if not self._is_full and self._missing <= 0:
            lengths = self._lengths or HostCopy(self.lengths)
            self._missing = self.capacity - min(lengths.values())
            self._is_full = self._missing <= 0
        return self._is_full

    def _load_from_state_dict(self, *args, **options) -> None:
        super()._load_from_state_dict(*args, **options)
        self._missing, self._is_full, self._lengths = 0, False, None

    def reliability(self) -> Tensor:
        """Weights (C, M) of the keys in the contrast; 0 where there is no key."""
        entropy = -(self.probabilities * (self.probabilities + 1e-30).log()).sum(dim=2)
        certainty = 1 - entropy / math.log(self.num_classes)
        weight = (certainty + self.clamp).clamp(1 - self.clamp, 1 + self.clamp)
        return weight * self.filled

    def contrast(self, features: Tensor, labels: Tensor) -> Tensor:
        """Contrast of cells with all keys that there are, see :func:`category_loss`: 0-dim.

        CaCo's warm-up uses it only when :meth:`is_full`, its fine-tuning always.

        Args:
            features: (B, A, h, w).
            labels: (B, H, W) int64, 255 = ignore; resized to (h, w) by nearest pixels.
        """
        labels = nearest_labels(labels, features.shape[2:])
        return category_loss(features, labels, self.keys, self.reliability(), self.temperature)


def filling_problems(dataset: SourceTargetDataset) -> Iterator[str]:
    """Before training: a sentence if a dictionary cannot become full.

    A network that never saw a class of the source does not predict it with confidence. Known where
    the statistics of all source labels are in files, see :func:`absent_classes`.
    """
    if absent := absent_classes(dataset.source):
        yield (
            f'the source labels have no pixel of {", ".join(absent)}: the dictionary of these '
            'classes stays empty and the contrast, which waits for a full dictionary, never '
            'starts; list only the classes of the source in metainfo'
        )
