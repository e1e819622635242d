"""Time and memory of CaCo's contrast, compared with a naive formulation.

The naive formulation costs what the published code does: it has the whole matrix of cells x keys in
memory, several times.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cost import Cost, measure
from mmseg_uda.uda.components.category_contrast import category_loss

NUM_CLASSES = 19
TEMPERATURE = 0.07


@dataclass
class Problem:
    """Features (B, A, h, w), their labels (B, h, w), keys (C, M, A) and reliabilities (C, M)."""

    features: Tensor
    labels: Tensor
    keys: Tensor
    reliability: Tensor


def make_problem(
    size: tuple[int, int], slots: int, channels: int, images: int, device: str
) -> Problem:
    """Noise in the place of features and keys, and random labels.

    Args:
        size: (h, w) of the feature map.
    """
    features = torch.randn(images, channels, *size, device=device).relu().requires_grad_()
    labels = torch.randint(0, NUM_CLASSES, (images, *size), device=device)
    keys = torch.randn(NUM_CLASSES, slots, channels, device=device).relu()
    return Problem(features, labels, keys, 0.9 + 0.2 * torch.rand(keys.shape[:2], device=device))


def measure_categories(problem: Problem, repeats: int) -> tuple[list[Cost], float, float]:
    """Measure loss and gradient: our formulation, then the naive one.

    Returns:
        Both costs, without the inputs, and the relative differences of loss and gradient.
    """
    runs = [partial(run, problem, loss) for loss in (category_loss, naive_loss)]
    results = [one() for one in runs]
    losses, gradients = zip(*results, strict=True)
    difference = abs(losses[0] - losses[1]) / abs(losses[1])
    of_gradient = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    del results, gradients
    problem.features.grad = None
    return measure(runs, repeats), float(difference), float(of_gradient)


def run(problem: Problem, loss) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a problem."""
    problem.features.grad = None
    value = loss(problem.features, problem.labels, problem.keys, problem.reliability, TEMPERATURE)
    value.backward()
    return value.detach(), problem.features.grad


def naive_loss(
    features: Tensor, labels: Tensor, keys: Tensor, reliability: Tensor, temperature: float
) -> Tensor:
    """:func:`category_loss` of labelled cells and a full dictionary, by the formula."""
    rows = F.normalize(features, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    weight, classes = reliability.flatten(), torch.arange(len(keys), device=keys.device)
    similarity = rows @ F.normalize(keys, dim=2).flatten(0, 1).T / temperature
    similarity = similarity - similarity.max(dim=1, keepdim=True).values.detach()
    total = (similarity.exp() * weight).sum(dim=1, keepdim=True)
    log_share = similarity - (total + 1e-20).log() + (weight + 1e-20).log()
    positive = labels.view(-1, 1) == classes.repeat_interleave(keys.shape[1])
    return -(positive * log_share).sum(dim=1).mean() / len(weight)
