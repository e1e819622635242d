"""Random scale and crop with centred padding, in Pillow's arithmetic (DA-SAC)."""

import random
from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.fixed_size import LoadPair, resize_pair
from mmseg_uda.datasets.labels import IGNORE


@TRANSFORMS.register_module()
class LoadScaled(LoadPair):
    """Load a sample and resize it by a random factor: the image bilinear, the label nearest.

    The factor is drawn from Python's generator; both sides are rounded down. Adds and raises the
    same as :class:`FixedResize`.

    Args:
        scales: smallest and largest factor of both sides.
        size: (width, height) to which every sample is resized first; None: its own size.
    """

    def __init__(self, scales: Sequence[float], size: Sequence[int] | None = None) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.size = None if size is None else tuple(size)

    def _fit(
        self, image: np.ndarray, label: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if self.size is not None:
            image, label = resize_pair(image, label, self.size, 'bilinear')
        factor = self.draw()
        height, width = image.shape[:2]
        size = int(width * factor), int(height * factor)
        return resize_pair(image, label, size, 'bilinear')

    def draw(self) -> float:
        """Draw the factor."""
        low, high = self.scales
        return low + (high - low) * random.random()


@TRANSFORMS.register_module()
class PaddedCrop(BaseTransform):
    """Cut a random crop out of an image and its label, which are padded if they are too small.

    Half of the missing pixels, rounded down, are added at the top and at the left, the rest at the
    bottom and at the right: black in the image, 255 in the label. Row and column are drawn from
    Python's generator. Adds ``padding`` (uint8 (h, w)), 1 in padded pixels, which
    ``UDADataPreProcessor`` sets to 0 after normalisation.

    Args:
        crop_size: (height, width).
    """

    def __init__(self, crop_size: Sequence[int]) -> None:
        self.crop_size = tuple(crop_size)

    def transform(self, results: dict) -> dict:
        results['padding'] = np.zeros(results['img'].shape[:2], np.uint8)
        results['seg_fields'].append('padding')
        fills = {'img': (0, 0, 0), 'gt_seg_map': IGNORE, 'padding': 1}
        maps = {
            name: _padded(results[name], self.crop_size, fill)
            for name, fill in fills.items()
            if name in results
        }
        y, x = self.draw(maps['padding'].shape)
        height, width = self.crop_size
        results |= {name: array[y : y + height, x : x + width] for name, array in maps.items()}
        results['img_shape'] = results['crop_size'] = self.crop_size
        return results

    def draw(self, size: tuple[int, int]) -> tuple[int, int]:
        """Draw the top left corner of the crop in an image of ``size`` (height, width)."""
        y, x = (
            random.randint(0, have - want) for have, want in zip(size, self.crop_size, strict=True)
        )
        return y, x


def _padded(array: np.ndarray, size: tuple[int, int], fill: int | tuple) -> np.ndarray:
    """Pad an array (H, W, ...) to at least ``size``, centred."""
    rows, columns = (max(want - have, 0) for want, have in zip(size, array.shape, strict=False))
    if not rows and not columns:
        return array
    top, left = rows // 2, columns // 2
    edges = top, rows - top, left, columns - left
    return cv2.copyMakeBorder(array, *edges, cv2.BORDER_CONSTANT, value=fill)
