"""Views of a training image: flipped and zoomed crops with their geometry."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmseg.registry import TRANSFORMS

from mmseg_uda.errors import UserError


@dataclass(frozen=True)
class View:
    """A window of an image, which may be flipped first, resized to the size of the image.

    Attributes:
        flip: whether the image is flipped horizontally, before the window is cut.
        top, left, height, width: the window in pixels of the (flipped) image.
        zoom: share of the image's sides that the window has, before rounding.
    """

    flip: bool
    top: int
    left: int
    height: int
    width: int
    zoom: float

    def cut(self, array: np.ndarray, interpolation: str = 'bilinear') -> np.ndarray:
        """Cut the view out of an image or map (H, W, ...) uint8, with Pillow's arithmetic."""
        height, width = array.shape[:2]
        window = array[:, ::-1] if self.flip else array
        window = window[self.top : self.top + self.height, self.left : self.left + self.width]
        if (self.height, self.width) == (height, width):
            return np.ascontiguousarray(window)
        size = (width, height)
        return mmcv.imresize(window, size, interpolation=interpolation, backend='pillow')

    def geometry(self, size: Sequence[int]) -> np.ndarray:
        """Affine map from an image of ``size`` (height, width) to the view, (2, 3)."""
        dy, dx = (
            start + part / 2 - whole / 2
            for start, part, whole in zip(
                (self.top, self.left), (self.height, self.width), size, strict=True
            )
        )
        return view_geometry(dy, dx, 1 / self.zoom, -1 if self.flip else 1, size)


def view_geometry(
    dy: float, dx: float, magnification: float, flip: int, size: Sequence[int]
) -> np.ndarray:
    """Affine map from an image to a view, in coordinates that are -1 and 1 at the borders.

    Args:
        dy, dx: pixels from the centre of the image to the centre of the window.
        magnification: side of the image over side of the window.
        flip: -1 if the image is flipped horizontally first, else 1.
        size: (height, width) of the image in pixels; half of it is rounded down, as published.

    Returns:
        (2, 3) float64.
    """
    height, width = size
    rows = [[flip, 0, -dx / (width // 2)], [0, 1, -dy / (height // 2)]]
    return magnification * np.array(rows, np.float64)


@TRANSFORMS.register_module()
class MakeViews(BaseTransform):
    """Add views of the image of a training sample, for a pipeline that ends in ``PackDomain``.

    Adds ``views``: ``clean``, and with ``noise`` also ``noisy``, each a pair of T images (uint8
    (h, w, 3) BGR) and their geometry (float32 (T, 2, 3)), see ``Views`` in ``datasets/batch.py``.
    Flips and windows are drawn from Python's generator.

    Args:
        number: T.
        zoom: smallest and largest share of the image's sides that a view shows.
        flip: flip each view with probability 1/2.
        first_whole: the first view shows the whole image.
        noise: pipeline that makes a noisy view of a clean one.

    Raises:
        UserError: a bad option, or an image that is smaller than the crop size or padded.
    """

    def __init__(
        self,
        number: int = 4,
        zoom: Sequence[float] = (0.5, 1.0),
        flip: bool = True,
        first_whole: bool = True,
        noise: Sequence[dict] | None = None,
    ) -> None:
        if number < 1:
            raise UserError(f'MakeViews: number is {number}, at least one view is needed')
        if not (len(zoom) == 2 and 0 < zoom[0] <= zoom[1] <= 1):
            raise UserError(
                f'MakeViews: zoom is {zoom!r}, it must be the smallest and largest share of the '
                'sides, above 0 and at most 1'
            )
        self.number = number
        self.zoom = tuple(zoom)
        self.flip = flip
        self.first_whole = first_whole
        self.noise = None if noise is None else Compose(noise)

    def transform(self, results: dict) -> dict:
        image, size = results['img'], tuple(results['crop_size'])
        if image.shape[:2] != size:
            found, wanted = ('x'.join(map(str, shape)) for shape in (image.shape[:2], size))
            raise UserError(
                f'{results["img_path"]}: MakeViews needs images of the crop size, {wanted} (height '
                f'x width), this one has {found}: resize images to at least the crop size'
            )
        if 'padding' in results and results['padding'].any():
            raise UserError(
                f'{results["img_path"]}: MakeViews needs images without padding: resize images to '
                'at least the crop size'
            )
        views = [self.draw(size, number) for number in range(self.number)]
        geometry = np.stack([view.geometry(size) for view in views]).astype(np.float32)
        clean = [view.cut(image) for view in views]
        results['views'] = {'clean': (clean, geometry)}
        if self.noise is not None:
            noisy = [self.noise({'img': view})['img'] for view in clean]
            results['views']['noisy'] = (noisy, geometry)
        return results

    def draw(self, size: tuple[int, int], number: int) -> View:
        """Draw view ``number`` of an image of ``size`` (height, width)."""
        flip = self.flip and random.random() < 0.5
        if self.first_whole and number == 0:
            return View(flip, 0, 0, *size, zoom=1.0)
        zoom = random.uniform(*self.zoom)
        height, width = (int(side * zoom) for side in size)
        top, left = random.randint(0, size[0] - height), random.randint(0, size[1] - width)
        return View(flip, top, left, height, width, zoom)
