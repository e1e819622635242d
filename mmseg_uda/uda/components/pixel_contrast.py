"""Pixel contrast: class statistics and the loss of embeddings against them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.components.class_statistics import ClassStatistics
from mmseg_uda.uda.components.contrast_losses import bank_loss, dist_loss, proto_loss, uniformity
from mmseg_uda.uda.components.reduce_labels import reduce_labels

VARIANTS = ('dist', 'bank', 'proto')


class PixelContrast(nn.Module):
    """Pulls pixel embeddings towards their class and pushes them from the others.

    SePiCo (Xie et al., TPAMI 2023). Each map of the projection head has its own
    :class:`ClassStatistics`.

    Args:
        num_classes: C.
        channels: A, size of an embedding.
        variant: how a class is represented: 'dist' by a Gaussian (DistCL), 'bank' by a memory bank
            (BankCL), 'proto' by its mean (ProtoCL).
        temperature: of all similarities (tau).
        regulariser: weight of the regulariser, relative to the contrast.
        weight: of the whole loss; one number, or one for each map.
        min_ratio: share of a cell's pixels that its class must reach.
        bank_size: rows of a class's bank, for 'bank'.
        num_maps: number of maps of embeddings.

    Raises:
        UserError: unknown variant, or another number of weights than of maps.

    >>> contrast = PixelContrast(num_classes=2, channels=4, variant='proto', min_ratio=0.5)
    >>> embeddings, labels = [torch.ones(1, 4, 2, 2) / 2], torch.zeros(1, 8, 8, dtype=torch.int64)
    >>> contrast.observe(embeddings, labels)
    >>> contrast.statistics[0].count.tolist()
    [4, 0]
    """

    def __init__(
        self,
        num_classes: int,
        channels: int,
        variant: str = 'dist',
        temperature: float = 100.0,
        regulariser: float = 1.0,
        weight: float | Sequence[float] = 1.0,
        min_ratio: float = 0.75,
        bank_size: int = 200,
        num_maps: int = 1,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise UserError(f'contrast.variant is {variant!r}, choose one of {VARIANTS}')
        self.num_classes = num_classes
        self.variant = variant
        self.temperature = temperature
        self.regulariser = regulariser
        self.weights = [weight] * num_maps if isinstance(weight, int | float) else list(weight)
        if len(self.weights) != num_maps:
            raise UserError(f'contrast.weight has {len(self.weights)} numbers for {num_maps} maps')
        self.min_ratio = min_ratio
        bank_size = bank_size if variant == 'bank' else 0
        self.statistics = nn.ModuleList(
            ClassStatistics(num_classes, channels, bank_size) for _ in self.weights
        )

    def observe(self, embeddings: list[Tensor], labels: Tensor) -> None:
        """Update the statistics with maps (B, A, h_i, w_i) and labels (B, H, W)."""
        for statistics, cells in zip(self.statistics, embeddings, strict=True):
            statistics.update(cells, self._cell_labels(labels, cells))

    def loss(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """Contrast of maps of embeddings (B, A, h_i, w_i) with labels (B, H, W): 0-dim."""
        terms = []
        for weight, statistics, cells in zip(
            self.weights, self.statistics, embeddings, strict=True
        ):
            with torch.autocast(cells.device.type, enabled=False):
                own = self._cell_labels(labels, cells)
                term = self._loss(statistics, at_least_float32(cells), own)
            terms.append(weight * term)
        return sum(terms)

    def _cell_labels(self, labels: Tensor, cells: Tensor) -> Tensor:
        return reduce_labels(labels, cells.shape[2:], self.num_classes, self.min_ratio)

    def _loss(self, classes: ClassStatistics, cells: Tensor, labels: Tensor) -> Tensor:
        mean, temperature = classes.mean, self.temperature
        if self.variant == 'dist':
            loss = dist_loss(cells, labels, mean, classes.variance, temperature)
        elif self.variant == 'bank':
            loss = bank_loss(cells, labels, classes.bank, classes.lengths, temperature)
        else:
            loss = proto_loss(cells, labels, mean, temperature)
        return loss + self.regulariser * uniformity(cells, labels, mean, temperature)
