"""Statistics of each class's embeddings since the start of training, and banks of batch means."""

import torch
from torch import Tensor

from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.components.class_memory import (
    ClassRings,
    all_images,
    class_members,
    class_sums,
)


class ClassStatistics(ClassRings):
    """Mean, diagonal covariance, pixel count and memory bank of every class.

    SDCA (Li et al., 2021) and SePiCo (Xie et al., TPAMI 2023): cumulative over all embeddings since
    the start, not a moving average. The bank of a class (SePiCo's) is a queue (:class:`ClassRings`)
    of the class's means in the batches that contained it; it starts with one row of zeros. The
    state is in buffers, hence in the checkpoint, and the same on every rank.

    Args:
        num_classes: C.
        channels: A, size of an embedding.
        bank_size: capacity of a class's bank in rows; 0 for no bank.
        reduce: use the images of all ranks. If not, each rank has its own state, and checkpoints
            hold the first rank's.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    bank: Tensor

    def __init__(
        self, num_classes: int, channels: int, bank_size: int = 0, reduce: bool = True
    ) -> None:
        super().__init__(num_classes, bank_size, bank=(channels,))
        self.appended += 1  # the row of zeros
        self.reduce = reduce
        self.register_buffer('mean', torch.zeros(num_classes, channels))
        self.register_buffer('variance', torch.zeros(num_classes, channels))
        self.register_buffer('count', torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Add embeddings (B, A, h, w) with labels (B, h, w), 255 = ignore.

        >>> statistics = ClassStatistics(num_classes=2, channels=1)
        >>> statistics.update(torch.tensor([[[[1.0, 3.0, 5.0]]]]), torch.tensor([[[0, 0, 1]]]))
        >>> statistics.mean.flatten().tolist(), statistics.variance.flatten().tolist()
        ([2.0, 5.0], [1.0, 0.0])
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = at_least_float32(embeddings).flatten(2)  # (B, A, N)
            members = class_members(labels, len(self.count), embeddings.dtype)  # (B, C, N)
            count = self._total(members.sum(dim=2))
            some = count.clamp(min=1).unsqueeze(1)
            mean = self._total(class_sums(embeddings, members)) / some
            # Ignored pixels have no class mean; their values are not used.
            own_mean = mean.T.expand(len(embeddings), -1, -1)
            centred = torch.baddbmm(embeddings, own_mean, members, alpha=-1)
            variance = self._total(class_sums(centred.square_(), members)) / some
            self.merge(count, mean, variance)

    def _total(self, values: Tensor) -> Tensor:
        return (all_images(values) if self.reduce else values).sum(dim=0)

    @torch.no_grad()
    def merge(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Merge the moments of a batch, (C,), (C, A) and (C, A), into those of all batches."""
        number = count.long()
        share = (number / (number + self.count).clamp(min=1)).to(mean).unsqueeze(1)
        between = share * (1 - share) * (self.mean - mean).square()
        self.variance.mul_(1 - share).add_(share * variance).add_(between)
        self.mean.mul_(1 - share).add_(share * mean)
        self.count += number
        self.append(count > 0, bank=mean)
