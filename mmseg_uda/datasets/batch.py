"""The batches that a method trains on: the images of each domain with their labels and maps."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class DomainBatch:
    """The images of one domain.

    Attributes:
        images: (B, 3, H, W) float, normalised RGB (BGR where the preprocessor says so).
        labels: (B, H, W) int64 train ids with 255 = ignore, or None (unlabelled).
        valid: (B, H, W) float, 1 where a pseudo-label may be trusted, or None (everywhere).
        paths: image files.
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
    """What a method gets for one step: labelled source images and, if it adapts, target images."""

    source: DomainBatch
    target: DomainBatch | None = None
