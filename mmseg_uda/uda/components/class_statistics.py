"""Statistics of each class's embeddings over a whole run, and banks of their batch means."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmseg_uda.models.precision import at_least_float32


class ClassStatistics(nn.Module):
    """Mean, diagonal covariance, pixel count and memory bank of every class.

    SDCA (Li et al., 2021) and SePiCo (Xie et al., TPAMI 2023): cumulative over all embeddings since
    the start, not a moving average. The bank of a class (SePiCo's) is a queue of its means in the
    batches that had it, first in first out, and begins with one row of zeros. All of it is in
    buffers, hence in the checkpoint. The state is that of all ranks' embeddings, on every rank.

    Args:
        num_classes: C.
        channels: A, size of an embedding.
        bank_size: capacity of a class's bank in rows; 0 for no bank.
        reduce: sum over the ranks. If not, each has its own state, of which checkpoints hold the
            first rank's.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    bank: Tensor
    appended: Tensor

    def __init__(
        self, num_classes: int, channels: int, bank_size: int = 0, reduce: bool = True
    ) -> None:
        super().__init__()
        self.reduce = reduce
        self.register_buffer('mean', torch.zeros(num_classes, channels))
        self.register_buffer('variance', torch.zeros(num_classes, channels))
        self.register_buffer('count', torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer('bank', torch.zeros(num_classes, bank_size, channels))
        # Rows that were ever put into a bank, the zero row included: says where the next one goes.
        self.register_buffer('appended', torch.ones(num_classes, dtype=torch.int64))

    @property
    def bank_length(self) -> Tensor:
        """Rows in use of each class's bank, (C,) int64."""
        return self.appended.clamp(max=self.bank.shape[1])

    @torch.no_grad()
    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take in embeddings (B, A, h, w) with labels (B, h, w), 255 = ignore.

        Sums by class are products with the one-hot labels: no pixel is looked at by the host, and
        nothing is larger than the embeddings themselves.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = at_least_float32(embeddings).flatten(2)  # (B, A, N)
            classes = torch.arange(len(self.count), device=labels.device).view(-1, 1)
            members = (labels.flatten(1).unsqueeze(1) == classes).to(embeddings)  # (B, C, N)

            count = members.sum(dim=(0, 2))
            total = (members @ embeddings.transpose(1, 2)).sum(dim=0)
            self._over_ranks(count), self._over_ranks(total)
            some = count.clamp(min=1).unsqueeze(1)
            mean = total / some

            # Ignored pixels belong to no class: what becomes of them does not count.
            own_mean = mean.T.expand(len(embeddings), -1, -1)
            centred = torch.baddbmm(embeddings, own_mean, members, alpha=-1)
            squares = (members @ centred.square_().transpose(1, 2)).sum(dim=0)
            self._over_ranks(squares)
            self._merge(count, mean, squares / some)

    def _over_ranks(self, values: Tensor) -> None:
        if self.reduce:
            all_reduce(values)

    def _merge(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        number = count.long()
        share = (number / (number + self.count).clamp(min=1)).to(mean).unsqueeze(1)
        between = share * (1 - share) * (self.mean - mean).square()
        self.variance.mul_(1 - share).add_(share * variance).add_(between)
        self.mean.mul_(1 - share).add_(share * mean)
        self.count += number
        if not self.bank.shape[1]:
            return
        present = number > 0
        classes = torch.arange(len(count), device=count.device)
        oldest = self.appended % self.bank.shape[1]  # or the first free one
        row = torch.where(present.unsqueeze(1), mean, self.bank[classes, oldest])
        self.bank[classes, oldest] = row
        self.appended += present
