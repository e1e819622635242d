"""Time and memory of pixel contrast, compared with a naive formulation.

The naive formulation costs what the published code does: it expands the embeddings to cells x
classes x channels for the statistics, and loops over pairs of classes for the banks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cost import Cost, measure
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.uda.components.class_statistics import ClassStatistics
from mmseg_uda.uda.components.contrast_losses import uniformity
from mmseg_uda.uda.components.pixel_contrast import PixelContrast
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions

NUM_CLASSES = 19
SDCA_TEMPERATURE = 100.0


@dataclass
class Problem:
    """Embeddings (B, A, h, w), their labels (B, h, w) and filled statistics.

    SePiCo's embeddings have unit length, SDCA's features do not.
    """

    embeddings: Tensor
    labels: Tensor
    contrast: PixelContrast | SemanticDistributions

    def part(self, cells: int) -> 'Problem':
        """The first rows of all images, at most ``cells`` cells in total."""
        batch, _, _, width = self.embeddings.shape
        rows = cells // (batch * width)
        embeddings = self.embeddings.detach()[:, :, :rows].contiguous().requires_grad_()
        return Problem(embeddings, self.labels[:, :rows].contiguous(), self.contrast)


Solver = Callable[[Problem], Tensor]


def make_problem(
    variant: str, size: int, batch: int = 2, channels: int = 512, device: str = 'cpu'
) -> Problem:
    """Noise on a square feature map of ``size``, with labels in squares of 4 x 4 cells."""
    noise = torch.randn(batch, channels, size, size, device=device).relu()
    embeddings = F.normalize(noise, dim=1).requires_grad_()
    contrast = PixelContrast(NUM_CLASSES, channels, variant).to(device)
    statistics = contrast.statistics[0]
    _fill(statistics)
    if variant == 'bank':
        statistics.bank.uniform_(0, 0.1)
        statistics.appended.fill_(statistics.bank.shape[1])
    return Problem(embeddings, _squares(batch, (size, size)).to(device), contrast)


def make_semantic_problem(
    size: tuple[int, int], batch: int = 2, channels: int = 2048, device: str = 'cpu'
) -> Problem:
    """Noise in the place of a backbone's features, with labels in squares of 4 x 4 cells.

    Args:
        size: (height, width) of the feature map.
    """
    features = torch.randn(batch, channels, *size, device=device).relu().requires_grad_()
    distributions = SemanticDistributions(NUM_CLASSES, channels).to(device)
    _fill(distributions.levels['feat'])
    return Problem(features, _squares(batch, size).to(device), distributions)


def _squares(batch: int, size: tuple[int, int]) -> Tensor:
    height, width = size
    squares = torch.randint(0, NUM_CLASSES + 1, (batch, -(-height // 4), -(-width // 4)))
    squares[squares == NUM_CLASSES] = IGNORE
    labels = squares.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return labels[:, :height, :width].contiguous()


def _fill(statistics: ClassStatistics) -> None:
    statistics.mean.uniform_(0, 0.1)
    statistics.variance.uniform_(0, 0.01)
    statistics.count.fill_(100_000)


def measure_contrast(
    variant: str, size: int, repeats: int, naive_cells: int, **options
) -> list[tuple[int, Cost]]:
    """Measure SePiCo's statistics, loss and gradient: our formulation, then the naive one.

    Args:
        size: side of the feature map in cells.
        naive_cells: most cells for the naive formulation.
        options: of :func:`make_problem`.

    Returns:
        Number of cells and cost of both; the peak is without the inputs.
    """
    problem = make_problem(variant, size, **options)
    return _compare(problem, naive_cells, run_ours, run_naive, repeats)


def measure_semantic(
    size: tuple[int, int], repeats: int, naive_cells: int, **options
) -> list[tuple[int, Cost]]:
    """As :func:`measure_contrast`, for SDCA and features (B, A, h, w) of ``size`` (h, w).

    Args:
        options: of :func:`make_semantic_problem`.
    """
    problem = make_semantic_problem(size, **options)
    return _compare(problem, naive_cells, run_semantic, run_naive_semantic, repeats)


def _compare(
    problem: Problem, naive_cells: int, ours: Solver, naive: Solver, repeats: int
) -> list[tuple[int, Cost]]:
    problems = problem, problem.part(naive_cells)
    runs = [partial(run, each) for run, each in zip((ours, naive), problems, strict=True)]
    for run in runs:
        run()
    costs = measure(runs, repeats)
    return [(each.labels.numel(), cost) for each, cost in zip(problems, costs, strict=True)]


def run_ours(problem: Problem) -> Tensor:
    """Update the statistics with the embeddings, compute loss and gradient; return the loss."""
    problem.embeddings.grad = None
    problem.contrast.observe([problem.embeddings.detach()], problem.labels)
    loss = problem.contrast.loss([problem.embeddings], problem.labels)
    loss.backward()
    return loss.detach()


def run_naive(problem: Problem) -> Tensor:
    """As :func:`run_ours`, by :func:`naive_update` and :func:`naive_loss`."""
    problem.embeddings.grad = None
    rows, labels = _labelled(problem)
    contrast = problem.contrast
    naive_update(contrast.statistics[0], rows.detach(), labels)
    loss = naive_loss(contrast, rows, labels)
    mean = contrast.statistics[0].mean
    loss = loss + uniformity(problem.embeddings, problem.labels, mean, contrast.temperature)
    loss.backward()
    return loss.detach()


def run_semantic(problem: Problem) -> Tensor:
    """As :func:`run_ours`, for SDCA."""
    problem.embeddings.grad = None
    maps = {'feat': problem.embeddings}
    problem.contrast.update(maps, problem.labels)
    loss = problem.contrast.loss(maps, problem.labels, SDCA_TEMPERATURE)['feat']
    loss.backward()
    return loss.detach()


def run_naive_semantic(problem: Problem) -> Tensor:
    """As :func:`run_semantic`, by :func:`naive_update` and both terms of the bound, row by row."""
    problem.embeddings.grad = None
    rows, labels = _labelled(problem)
    statistics = problem.contrast.levels['feat']
    naive_update(statistics, rows.detach(), labels)
    rows, mean, variance = (
        F.normalize(x, dim=1) for x in (rows, statistics.mean, statistics.variance)
    )
    variance = variance / (2 * SDCA_TEMPERATURE**2)
    logits = rows @ mean.T / SDCA_TEMPERATURE + rows.square() @ variance.T
    own = (rows.square() * variance[labels]).sum(dim=1)
    loss = F.cross_entropy(logits, labels) + own.mean()
    loss.backward()
    return loss.detach()


def _labelled(problem: Problem) -> tuple[Tensor, Tensor]:
    """Rows (N, A) of the labelled cells, and their labels (N,)."""
    labels = problem.labels.flatten()
    rows = problem.embeddings.permute(0, 2, 3, 1).flatten(0, 2)
    return rows[labels != IGNORE], labels[labels != IGNORE]


@torch.no_grad()
def naive_update(statistics: ClassStatistics, rows: Tensor, labels: Tensor) -> None:
    """Update the statistics with rows (N, A), expanded to (N, C, A).

    Args:
        labels: (N,).
    """
    members = F.one_hot(labels, NUM_CLASSES).unsqueeze(2).to(rows)
    expanded = rows.unsqueeze(1) * members
    count = members.sum(dim=0)
    mean = expanded.sum(dim=0) / count.clamp(min=1)
    centred = expanded - mean * members
    variance = centred.square().sum(dim=0) / count.clamp(min=1)
    statistics.merge(count.squeeze(1), mean, variance)


def naive_loss(contrast: PixelContrast, rows: Tensor, labels: Tensor) -> Tensor:
    """The variant's loss by its formula, banks class by class.

    Args:
        rows: (N, A).
        labels: (N,).
    """
    classes, temperature = contrast.statistics[0], contrast.temperature
    if contrast.variant == 'bank':
        return _naive_bank_loss(rows, labels, classes.bank, temperature)
    logits = rows @ classes.mean.T / temperature
    if contrast.variant == 'proto':
        return F.cross_entropy(logits, labels)
    quadratic = rows.square() @ classes.variance.T / (2 * temperature**2)
    own = quadratic.gather(1, labels.unsqueeze(1)).mean()
    return F.cross_entropy(logits + quadratic, labels) + own


def _naive_bank_loss(rows: Tensor, labels: Tensor, bank: Tensor, temperature: float) -> Tensor:
    total = rows.new_zeros(())
    for own in range(len(bank)):
        members = rows[labels == own]
        positive = (members @ bank[own].T / temperature).exp()
        negative = torch.zeros_like(positive[:, :1])
        for other in range(len(bank)):
            if other != own:
                mean = (members @ bank[other].T / temperature).mean(dim=1, keepdim=True)
                negative = negative + mean.exp()
        total = total - (positive / (positive + negative)).log().mean(dim=1).sum()
    return total / len(rows)
