"""Sums of feature vectors by class, and queues by class: the base of all memories of classes."""

import torch
from mmengine.dist import all_gather
from torch import Tensor, nn


@torch.no_grad()
def class_members(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """One-hot labels: (B, h, w) int64 -> (B, C, h * w) of ``dtype``; 255 is in no class."""
    classes = torch.arange(num_classes, device=labels.device).view(-1, 1)
    return (labels.flatten(1).unsqueeze(1) == classes).to(dtype)


@torch.no_grad()
def class_sums(maps: Tensor, members: Tensor) -> Tensor:
    """Sum each image's vectors by class.

    A product with the one-hot labels: there is no device-to-host synchronisation, and no tensor is
    larger than the maps.

    Args:
        maps: (B, A, N).
        members: (B, C, N), see :func:`class_members`.

    Returns:
        (B, C, A).

    >>> members = class_members(torch.tensor([[[0, 1, 1, 255]]]), 2, torch.float32)
    >>> class_sums(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), members).tolist()
    [[[1.0], [5.0]]]
    """
    return members @ maps.transpose(1, 2)


def all_images(values: Tensor) -> Tensor:
    """Gather per-image values (B, ...) of all ranks, in image order: (ranks * B, ...).

    A sum over them is the same number for any distribution of the images over the ranks.
    """
    return torch.cat(all_gather(values.contiguous()))


class ClassRings(nn.Module):
    """A first-in, first-out queue of a fixed capacity for every class.

    An entry of a queue has a value for each attribute. A new entry replaces the oldest one of a
    full queue in place: nothing is moved. The state is in buffers: the attributes
    (C, capacity, ...) and ``appended`` (C,), the number of entries appended so far, which
    determines where the next one goes.

    Args:
        num_classes: C.
        capacity: most entries of a class; 0 for none.
        attributes: name of an attribute -> shape of an entry's value.

    >>> rings = ClassRings(num_classes=2, capacity=2, key=(1,))
    >>> for number in (1.0, 2.0, 3.0):
    ...     rings.append(torch.tensor([True, False]), key=torch.full((2, 1), number))
    >>> rings.key.flatten(1).tolist(), rings.lengths.tolist()
    ([[3.0, 2.0], [0.0, 0.0]], [2, 0])
    """

    appended: Tensor

    def __init__(self, num_classes: int, capacity: int, **attributes: tuple[int, ...]) -> None:
        super().__init__()
        self.capacity = capacity
        for name, shape in attributes.items():
            self.register_buffer(name, torch.zeros(num_classes, capacity, *shape))
        self.register_buffer('appended', torch.zeros(num_classes, dtype=torch.int64))

    @property
    def lengths(self) -> Tensor:
        """Number of entries of each class, (C,) int64."""
        return self.appended.clamp(max=self.capacity)

    @property
    def filled(self) -> Tensor:
        """Which places hold an entry, (C, capacity) bool."""
        places = torch.arange(self.capacity, device=self.appended.device)
        return places < self.appended.unsqueeze(1)

    @torch.no_grad()
    def append(self, present: Tensor, **values: Tensor) -> None:
        """Append one entry to the queue of each class in ``present``.

        Args:
            present: (C,) bool.
            values: of every attribute, (C, ...); those of other classes are not used.
        """
        if not self.capacity:
            return
        classes = torch.arange(len(present), device=present.device)
        place = self.appended % self.capacity  # of the oldest entry, or the first free place
        for name, value in values.items():
            ring = getattr(self, name)
            chosen = present.view(-1, *[1] * (value.ndim - 1))
            ring[classes, place] = torch.where(chosen, value, ring[classes, place])
        self.appended += present
