"""Training images of a given size, resized and coloured with Pillow's 8-bit arithmetic.

SDCA and related methods were tuned with Pillow's bicubic filter. Unlike OpenCV's, its support grows
as an image shrinks. The loaders here replace ``LabelFirstCrop`` at the start of a pipeline that
ends in ``PackDomain``.
"""

import random
from abc import abstractmethod
from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageEnhance

from mmseg_uda.datasets.image_files import read_image
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.transforms import LoadAnnotations, check_same_size


class LoadPair(BaseTransform):
    """Loads the image and, if the sample has one, its label; sub-classes choose their size."""

    def __init__(self) -> None:
        self.load_label = LoadAnnotations()

    def transform(self, results: dict) -> dict:
        results['seg_fields'] = []
        image = read_image(results['img_path'])
        label = None
        if 'seg_map_path' in results:
            label = self.load_label(results)['gt_seg_map']
            check_same_size(results, image, label)
        results['img'], label = self._fit(image, label)
        if label is not None:
            results['gt_seg_map'] = label
        results['img_shape'] = results['crop_size'] = results['img'].shape[:2]
        return results

    @abstractmethod
    def _fit(
        self, image: np.ndarray, label: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Image (H, W, 3) and label (H, W) -> both at the size of the sample."""


@TRANSFORMS.register_module()
class FixedResize(LoadPair):
    """Load a sample and resize it to ``size``: the image bicubic, the label nearest.

    The ratio of the sides is not kept. Adds ``img`` (uint8 (h, w, 3) BGR), ``gt_seg_map`` (uint8
    (h, w)) where there is a label, ``seg_fields``, ``img_shape`` and ``crop_size``.

    Args:
        size: (width, height).

    Raises:
        UserError: a file is damaged, or image and label differ in size.
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def _fit(
        self, image: np.ndarray, label: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return resize_pair(image, label, self.size)


@TRANSFORMS.register_module()
class ScaleCrop(LoadPair):
    """Load a sample, resize it by a random factor and cut out a random crop.

    An image that is too small is padded on both sides, on each by all the missing pixels: the image
    with black, the label with 255. Factor, row and column are drawn from Python's generator, in
    this order. Adds and raises the same as :class:`FixedResize`.

    Args:
        scales: smallest and largest factor of both sides.
        crop_size: (height, width).
    """

    def __init__(self, scales: Sequence[float], crop_size: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.crop_size = tuple(crop_size)

    def _fit(
        self, image: np.ndarray, label: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        low, high = self.scales
        factor = low + (high - low) * random.random()
        height, width = image.shape[:2]
        image, label = resize_pair(image, label, (int(width * factor), int(height * factor)))
        image = _pad_both_sides(image, self.crop_size, (0, 0, 0))
        y, x = self._draw_corner(image)
        window = slice(y, y + self.crop_size[0]), slice(x, x + self.crop_size[1])
        if label is not None:
            label = _pad_both_sides(label, self.crop_size, IGNORE)[window]
        return image[window], label

    def _draw_corner(self, image: np.ndarray) -> tuple[int, int]:
        free = [have - want for have, want in zip(image.shape, self.crop_size, strict=False)]
        if free == [0, 0]:
            return 0, 0
        return random.randint(0, free[0]), random.randint(0, free[1])


@TRANSFORMS.register_module()
class PILColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue of every image, in random order.

    Factors are drawn from U(1 - x, 1 + x), the shift of the hue from U(-hue, hue), by Python's
    generator. A shift of 1 is the whole circle of hues.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float, hue: float) -> None:
        self.strengths = dict(brightness=brightness, contrast=contrast, saturation=saturation)
        self.hue = hue

    def transform(self, results: dict) -> dict:
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        drawn = {name: random.uniform(1 - x, 1 + x) for name, x in self.strengths.items()}
        drawn['hue'] = random.uniform(-self.hue, self.hue)
        for name in random.sample(list(drawn), len(drawn)):
            image = adjust_colour(image, name, drawn[name])
        results['img'] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        return results


@TRANSFORMS.register_module()
class BlurThree(BaseTransform):
    """Blur every image with a Gaussian kernel of 3 x 3 pixels.

    Args:
        sigma: range of the standard deviation in pixels, drawn by Python's generator.
    """

    def __init__(self, sigma: Sequence[float] = (0.1, 2.0)) -> None:
        self.sigma = tuple(sigma)

    def transform(self, results: dict) -> dict:
        results['img'] = blur_three(results['img'], random.uniform(*self.sigma))
        return results


def adjust_colour(image: Image.Image, name: str, amount: float) -> Image.Image:
    """Multiply brightness, contrast or saturation of an RGB image, or shift its hue.

    Args:
        name: ``brightness``, ``contrast``, ``saturation`` or ``hue``.
        amount: factor, or shift as a share of the circle of hues (256 steps in Pillow).
    """
    if name == 'hue':
        hue, *rest = image.convert('HSV').split()
        shift = int(amount * 255)  # towards zero, as published
        hue = hue.point([(value + shift) % 256 for value in range(256)])
        return Image.merge('HSV', (hue, *rest)).convert('RGB')
    enhance = {
        'brightness': ImageEnhance.Brightness,
        'contrast': ImageEnhance.Contrast,
        'saturation': ImageEnhance.Color,
    }
    return enhance[name](image).enhance(amount)


def blur_three(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur ``image`` (H, W, 3) uint8 over 3 x 3 pixels, mirrored at the border."""
    return cv2.GaussianBlur(image, (3, 3), sigma, borderType=cv2.BORDER_REFLECT_101)


def resize_pair(
    image: np.ndarray,
    label: np.ndarray | None,
    size: tuple[int, int],
    interpolation: str = 'bicubic',
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resize an image (H, W, 3) and its label (H, W), if any, to ``size`` (width, height).

    Args:
        interpolation: of the image, Pillow's ``bicubic`` or ``bilinear``; the label's is nearest.
    """
    image = mmcv.imresize(image, size, interpolation=interpolation, backend='pillow')
    if label is not None:
        label = mmcv.imresize(label, size, interpolation='nearest', backend='pillow')
    return image, label


def _pad_both_sides(array: np.ndarray, size: tuple[int, int], value: int | tuple) -> np.ndarray:
    rows, columns = (max(want - have, 0) for want, have in zip(size, array.shape, strict=False))
    if not rows and not columns:
        return array
    kind = cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(array, rows, rows, columns, columns, kind, value=value)
