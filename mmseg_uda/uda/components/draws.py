"""The random draws of a training step."""

import numpy as np
import torch
from mmengine.dist import get_rank
from torch import Tensor

from mmseg_uda.datasets.labels import LABEL_VALUES
from mmseg_uda.random import generator
from mmseg_uda.uda.components.augmentation import Jitter, draw_jitter

STREAM_STRIDE = 16  # purpose ids are smaller


class StepDraws:
    """Random draws of one step on the host, keyed by (seed, iteration) and global image index.

    Images are counted over all ranks, so two ranks with one image each draw the same as one rank
    with two images. Each purpose has its own random stream, so draws of one add-on do not change
    those of another. A method with the argument ``stream`` can be called several times in a step,
    with different streams; the same stream gives the same numbers.

    Args:
        seed, iteration: the key of the step.
        batch_size: images per rank.

    >>> draws = StepDraws(seed=0, iteration=3, batch_size=2)
    >>> draws.triggers() == StepDraws(0, 3, 2).triggers()
    True
    >>> draws.class_keys().shape
    torch.Size([2, 256])
    """

    def __init__(self, seed: int, iteration: int, batch_size: int) -> None:
        self.key = (seed, iteration)
        self.images = range(get_rank() * batch_size, (get_rank() + 1) * batch_size)

    def triggers(self, stream: int = 0) -> tuple[float, float]:
        """Two numbers U(0, 1) for the whole batch, which decide on colour jitter and on blur."""
        jitter, blur = generator(*self.key, 0, stream).random(2)
        return float(jitter), float(blur)

    def class_keys(self) -> Tensor:
        """Random numbers U(0, 1) per image and label value, (B, 256); they rank classes to mix."""
        keys = [generator(*self.key, 1, image).random(LABEL_VALUES) for image in self.images]
        return torch.from_numpy(np.stack(keys).astype(np.float32))

    def jitters(self, strength: float, stream: int = 0) -> list[Jitter]:
        """A colour jitter for every image of this rank."""
        rngs = [generator(*self.key, 2 + STREAM_STRIDE * stream, i) for i in self.images]
        return [draw_jitter(rng, strength) for rng in rngs]

    def sigmas(self, stream: int = 0) -> list[float]:
        """Standard deviations of blur in pixels, U(0.15, 1.15), one per image of this rank."""
        rngs = [generator(*self.key, 3 + STREAM_STRIDE * stream, i) for i in self.images]
        return [float(rng.uniform(0.15, 1.15)) for rng in rngs]

    def common_jitter(self, strength: float, stream: int) -> Jitter:
        """Colour jitter factors for every image of this rank, with one order for all images."""
        jitters = self.jitters(strength, stream)
        return Jitter(
            [jitter.brightness for jitter in jitters],
            [jitter.contrast for jitter in jitters],
            [jitter.saturation for jitter in jitters],
            [jitter.hue for jitter in jitters],
            order=generator(*self.key, 5, stream).permutation(4).tolist(),
        )

    def common_sigma(self, stream: int) -> list[float]:
        """One standard deviation of blur in pixels, U(0.15, 1.15), for all images of this rank."""
        return [float(generator(*self.key, 6, stream).uniform(0.15, 1.15))] * len(self.images)

    def block_grids(self, size: tuple[int, int]) -> Tensor:
        """Random numbers U(0, 1) per block of each image: (B, 1, h, w) for ``size`` (h, w)."""
        grids = [generator(*self.key, 7, image).random(size) for image in self.images]
        return torch.from_numpy(np.stack(grids).astype(np.float32)).unsqueeze(1)

    def channel_orders(self, number: int) -> list[int]:
        """One of ``number`` orders of the channels for every image of this rank."""
        return [int(generator(*self.key, 8, image).integers(number)) for image in self.images]

    def percentage(self, low: int, high: int) -> int:
        """One integer in low..high - 1 for the images of all ranks."""
        return int(generator(*self.key, 9).integers(low, high))

    def crop_corners(self, number: int, room: tuple[int, int]) -> Tensor:
        """``number`` corners (y, x) per image, each in 0..room inclusive: (B, number, 2) int64."""
        rngs = [generator(*self.key, 4, i) for i in self.images]
        corners = [rng.integers(0, np.add(room, 1), (number, 2)) for rng in rngs]
        return torch.from_numpy(np.stack(corners))
