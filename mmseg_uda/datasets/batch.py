"""Training batches: images of each domain with labels and further maps."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor


def _map(key: str, dtype: torch.dtype | None = None, **default: None) -> Tensor:
    """A field that collated samples hold under ``key``; ``dtype`` None: an RGB image in uint8."""
    return field(metadata=dict(key=key, dtype=dtype), **default)


@dataclass
class Views:
    """T crops of each image, resized to the size of the image.

    Attributes:
        images: (B, T, 3, H, W) float, normalised as the images are.
        geometry: (B, T, 2, 3) float32, affine maps from the image to each view, in coordinates that
            are -1 and 1 at the borders (``align_corners=False`` of ``affine_grid``).
        labels: (B, T, H, W) int64, of views that were cut with their labels, or None.
    """

    images: Tensor
    geometry: Tensor
    labels: Tensor | None = None

    @classmethod
    def of_samples(
        cls, samples: dict, image: Callable[[Tensor], Tensor], map_: Callable[[Tensor], Tensor]
    ) -> 'Views':
        """Views of collated samples; ``image`` is applied to all images (B * T, 3, H, W) uint8."""
        images, labels = samples['image'], samples.get('label')
        normalised = image(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        labels = None if labels is None else map_(labels).long()
        return cls(normalised, map_(samples['geometry']), labels)


@dataclass
class DomainBatch:
    """The images of one domain.

    Attributes:
        images: (B, 3, H, W) float, normalised RGB (BGR if the preprocessor is set so).
        labels: (B, H, W) int64 train ids with 255 = ignore, or None (unlabelled).
        valid: (B, H, W) float, 1 where a pseudo-label may be trusted, or None (everywhere).
        day: (B, 3, H, W) float, normalised RGB: images of the same places by day, or None.
        depth: (B, H, W) float32, 0 (near) to 255 (far), not rounded, or None.
        views: further views of the images, by name.
        paths: image files.
    """

    images: Tensor = _map('image')
    labels: Tensor | None = _map('label', torch.int64, default=None)
    valid: Tensor | None = _map('valid', torch.float32, default=None)
    day: Tensor | None = _map('day', default=None)
    depth: Tensor | None = _map('depth', torch.float32, default=None)
    views: dict[str, Views] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)

    @classmethod
    def of_samples(
        cls, samples: dict, image: Callable[[Tensor], Tensor], map_: Callable[[Tensor], Tensor]
    ) -> 'DomainBatch':
        """The batch of collated samples (see ``collate_domains``).

        Args:
            image: applied to images (B, 3, H, W) uint8.
            map_: applied to other tensors (B, ...), before they get the type of their field.
        """
        maps = {}
        for entry in (entry for entry in fields(cls) if entry.metadata):
            value, dtype = samples.get(entry.metadata['key']), entry.metadata['dtype']
            if value is not None:
                maps[entry.name] = image(value) if dtype is None else map_(value).to(dtype)
        views = {
            name: Views.of_samples(value, image, map_)
            for name, value in samples.get('views', {}).items()
        }
        return cls(views=views, paths=samples.get('path', []), **maps)

    def map(self, function: Callable[[Tensor], Tensor]) -> 'DomainBatch':
        """A batch with ``function`` applied to every tensor, all (B, ..., H, W)."""
        tensors = {name: v for name, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **{name: function(value) for name, value in tensors.items()})


@dataclass
class UDABatch:
    """Input of a training step: labelled source images and, for adaptation, target images."""

    source: DomainBatch
    target: DomainBatch | None = None
