"""Training batches: images of each domain with labels and further maps."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class DomainBatch:
    """The images of one domain.

    Attributes:
        images: (B, 3, H, W) float, normalised RGB (BGR where the preprocessor says so).
        labels: (B, H, W) int64 train ids with 255 = ignore, or None (unlabelled).
        valid: (B, H, W) float, 1 where pseudo-labels may be trusted, or None (everywhere).
        paths: image files, B of them.
        day: (B, 3, H, W) float, normalised RGB: images of the same places by day, or None.
        depth: (B, H, W) float32, 0 (near) to 255 (far), not rounded, or None.
    """

    images: Tensor
    labels: Tensor | None = None
    valid: Tensor | None = None
    paths: list[str] = field(default_factory=list)
    day: Tensor | None = None
    depth: Tensor | None = None


@dataclass
class UDABatch:
    """Input of a training step: labelled source images and, for adaptation, target images."""

    source: DomainBatch
    target: DomainBatch | None = None
