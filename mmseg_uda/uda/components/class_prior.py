"""A running class prior, and the thresholds of pseudo-labels that depend on it.

DA-SAC (Araslanov and Roth, CVPR 2021).
"""

import torch
from torch import Tensor, nn

from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.components.distributed import mean_over_images

PRESENT = 1e-8  # mean probability above which the first update sets a class to it


def class_means(probabilities: Tensor) -> Tensor:
    """Mean probability of each class in each image: (B, C, H, W) -> (B, C)."""
    return at_least_float32(probabilities).mean(dim=(2, 3))


class RunningPrior(nn.Module):
    """Exponential moving average of the mean class probabilities.

    ``prior = momentum * prior + (1 - momentum) * means``. Before its first update the prior is
    ``beta`` for all classes; the first update starts from the means instead, except for classes
    that are absent.

    Args:
        num_classes: C.
        momentum: of the average.
        beta: initial value, and the scale of :meth:`discount`.
    """

    prior: Tensor
    seen: Tensor

    def __init__(self, num_classes: int, momentum: float = 0.99, beta: float = 1e-3) -> None:
        super().__init__()
        self.momentum = momentum
        self.beta = beta
        self.register_buffer('prior', torch.full((num_classes,), beta))
        self.register_buffer('seen', torch.tensor(False))

    @torch.no_grad()
    def update(self, means: Tensor) -> None:
        """Update with the class means (B, C) of the images of this rank and all others."""
        means = mean_over_images(means).to(self.prior)
        start = torch.where(~self.seen & (means > PRESENT), means, self.prior)
        self.prior.copy_(start.lerp(means, 1 - self.momentum))
        self.seen.fill_(True)

    def discount(self) -> Tensor:
        """Factor (C,) in [0, 1] of thresholds: near 1 except for rare classes."""
        return -torch.expm1(-self.prior / self.beta)

    def focal_weight(self, power: float) -> Tensor:
        """Weight (C,) of each class in the loss: ``(1 - prior) ** power``."""
        return (1 - self.prior.clamp(min=0)) ** power


@torch.no_grad()
def class_peaks(confidence: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The largest confidence of each class in each image, 0 for an absent class.

    Args:
        confidence: (B, H, W), the probability of the label.
        labels: (B, H, W) int64, the most probable class.

    Returns:
        (B, C).

    >>> class_peaks(torch.tensor([[[0.5, 0.7]]]), torch.tensor([[[1, 1]]]), 3).tolist()
    [[0.0, 0.699999988079071, 0.0]]
    """
    peaks = confidence.new_zeros(len(confidence), num_classes)
    return peaks.scatter_reduce_(1, labels.flatten(1), confidence.flatten(1), 'amax')


def class_thresholds(peaks: Tensor, discount: Tensor, upper: float, lower: float) -> Tensor:
    """Thresholds (B, C) of the confidence of each class in each image.

    Args:
        peaks: (B, C), see :func:`class_peaks`.
        discount: (C,), see :meth:`RunningPrior.discount`.
        upper: share of the discounted peak.
        lower: smallest threshold.
    """
    return (upper * peaks * discount).clamp(min=lower)


@torch.no_grad()
def above_threshold(
    confidence: Tensor, labels: Tensor, discount: Tensor, upper: float, lower: float
) -> Tensor:
    """Whether each pixel's confidence exceeds the threshold of its label: (B, H, W) bool.

    Args:
        confidence, labels: (B, H, W), see :func:`class_peaks`.
        discount, upper, lower: see :func:`class_thresholds`.
    """
    peaks = class_peaks(confidence, labels, len(discount))
    thresholds = class_thresholds(peaks, discount, upper, lower)
    return confidence > thresholds.gather(1, labels.flatten(1)).view_as(confidence)
