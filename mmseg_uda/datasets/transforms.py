"""Training transforms. The crop is chosen on the label, so the image is decoded only once.

mmseg's own transforms (``RandomFlip``, ``PhotoMetricDistortion``) can be used between
:class:`LabelFirstCrop` and :class:`PackDomain`. All draw from NumPy's global generator.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.datasets import transforms as mmseg_transforms
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.depth import PAD_DEPTH, read_depth
from mmseg_uda.datasets.image_files import read_image, read_label_values
from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
from mmseg_uda.errors import UserError

#: Padding colour of images: the ImageNet mean, which normalisation maps to zero.
PAD_RGB = (124, 116, 104)

_MAX_REDRAWS = 10

Box = tuple[int, int, int, int]


def rescale_size(size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
    """Size (width, height) of an image of ``size`` (width, height) fitted into ``scale``.

    The ratio is kept: the image becomes as large as possible with its long side at most the larger
    number of ``scale`` and its short side at most the smaller. Sides are rounded half up.
    """
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def random_crop_box(label: np.ndarray, crop_size: Sequence[int], cat_max_ratio: float = 1.0) -> Box:
    """Draw a box (y1, y2, x1, x2) of at most ``crop_size`` (height, width) inside ``label``.

    Args:
        label: (H, W) train ids; with ``cat_max_ratio`` 1 only the shape matters.
        crop_size: (height, width).
        cat_max_ratio: below 1, the box is drawn again, up to ten times, while it has fewer than two
            classes or one class has at least this share of the labelled pixels. The tenth redraw is
            accepted in any case.
    """
    box = _draw_box(label.shape, crop_size)
    if cat_max_ratio < 1:
        for _ in range(_MAX_REDRAWS):
            counts = _class_counts(label, box)
            if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < cat_max_ratio:
                break
            box = _draw_box(label.shape, crop_size)
    return box


def validity_mask(native_hw: tuple[int, int], margins: Sequence[int]) -> np.ndarray:
    """Mask where pseudo-labels are trusted: uint8 ``native_hw``, 1 inside, 0 in the margins.

    Args:
        native_hw: (height, width) of the image file.
        margins: pixels at the (top, bottom, left, right) that are not trusted, such as the ego car.
    """
    top, bottom, left, right = margins
    height, width = native_hw
    mask = np.zeros((height, width), np.uint8)
    mask[top : height - bottom, left : width - right] = 1
    return mask


@TRANSFORMS.register_module(force=True)
class LoadAnnotations(mmseg_transforms.LoadAnnotations):
    """Replaces mmseg's loader of labels: values above 255 are an error, not cut to 8 bits.

    Raises:
        UserError: see :func:`mmseg_uda.datasets.image_files.read_label_values`.
    """

    def _load_seg_map(self, results: dict) -> None:
        label = read_label_values(results['seg_map_path'])
        reduce = self.reduce_zero_label
        if results['reduce_zero_label'] if reduce is None else reduce:
            label = np.array([IGNORE, *range(IGNORE - 1), IGNORE], np.uint8)[label]
        if results.get('label_map') is not None:
            table = np.arange(LABEL_VALUES, dtype=np.uint8)
            table[list(results['label_map'])] = list(results['label_map'].values())
            label = table[label]
        results['gt_seg_map'] = label
        results['seg_fields'].append('gt_seg_map')


@TRANSFORMS.register_module()
class LabelFirstCrop(BaseTransform):
    """Load a sample, fit it into ``scale`` and cut out a random crop.

    The box is chosen on the resized label, then the image is decoded. Entries of the sample:

    - ``seg_map_path``: the label file; without it the image is unlabelled.
    - ``rare_class`` = (class, pixels): boxes are drawn again, up to ten times, until one has more
      than this number of pixels of the class (DAFormer).
    - ``depth_path``: a depth map of any size; it is resized to the resized image and not rounded.
    - ``crop_box``: use this box and draw nothing.

    Adds ``img`` (uint8 (h, w, 3) BGR), ``gt_seg_map`` (uint8 (h, w)), ``valid`` (uint8 (h, w)),
    ``depth`` (float32 (h, w), 0..255), ``seg_fields``, ``img_shape``, ``crop_size`` and
    ``crop_box``, the :data:`Box` in the resized image. Label, mask and depth are optional.

    Args:
        scale: (long, short) side to fit the image into, see :func:`rescale_size`.
        crop_size: (height, width) of the crop; a smaller image gives a smaller crop, which
            :class:`PackDomain` pads. None: the whole image.
        cat_max_ratio: see :func:`random_crop_box`.
        margins: see :func:`validity_mask`; adds the mask ``valid``.

    Raises:
        UserError: a file is damaged, or image and label differ in size.
    """

    def __init__(
        self,
        scale: Sequence[int],
        crop_size: Sequence[int] | None,
        cat_max_ratio: float = 1.0,
        margins: Sequence[int] | None = None,
    ) -> None:
        self.scale = tuple(scale)
        self.crop_size = None if crop_size is None else tuple(crop_size)
        self.cat_max_ratio = cat_max_ratio
        self.margins = None if margins is None else tuple(margins)
        self.load_label = LoadAnnotations()

    def transform(self, results: dict) -> dict:
        results['seg_fields'] = []
        if 'seg_map_path' in results:
            native = self.load_label(results)['gt_seg_map']
            label = self._resize(native, cv2.INTER_NEAREST)
            y1, y2, x1, x2 = results.get('crop_box') or self._choose_box(
                label, results.get('rare_class')
            )
            results['gt_seg_map'] = label[y1:y2, x1:x2]
            image = read_image(results['img_path'])
            check_same_size(results, image, native)
            native_hw = image.shape[:2]
            image = self._resize(image, cv2.INTER_LINEAR)
        else:
            image = read_image(results['img_path'])
            native_hw = image.shape[:2]
            image = self._resize(image, cv2.INTER_LINEAR)
            y1, y2, x1, x2 = random_crop_box(image, self.crop_size or image.shape[:2])
        results['img'] = image[y1:y2, x1:x2]
        results['img_shape'] = results['img'].shape[:2]
        results['crop_size'] = self.crop_size or results['img_shape']
        results['crop_box'] = (y1, y2, x1, x2)
        if self.margins is not None:
            mask = _resized_validity_mask(native_hw, self.margins, self.scale)
            results['valid'] = mask[y1:y2, x1:x2]
            results['seg_fields'].append('valid')
        if 'depth_path' in results:
            size = image.shape[1::-1]
            depth = cv2.resize(read_depth(results['depth_path']), size)
            results['depth'] = depth[y1:y2, x1:x2]
            results['seg_fields'].append('depth')
        return results

    def _choose_box(self, label: np.ndarray, rare_class: tuple[int, float] | None) -> Box:
        crop_size = self.crop_size or label.shape
        box = random_crop_box(label, crop_size, self.cat_max_ratio)
        if rare_class is not None:
            train_id, pixels = rare_class
            for _ in range(_MAX_REDRAWS):
                y1, y2, x1, x2 = box
                if np.count_nonzero(label[y1:y2, x1:x2] == train_id) > pixels:
                    break
                box = random_crop_box(label, crop_size, self.cat_max_ratio)
        return box

    def _resize(self, array: np.ndarray, interpolation: int) -> np.ndarray:
        return resize_image(array, self.scale, interpolation)


@TRANSFORMS.register_module()
class PackDomain(BaseTransform):
    """Pack a sample as tensors, padded at the bottom and right to the crop size.

    Returns a dict with ``image`` (uint8 (3, H, W), RGB, padded with :data:`PAD_RGB`), ``path`` and,
    where the sample has them, ``day`` (like ``image``), ``label`` (uint8 (H, W) train ids, padded
    with 255), ``valid`` (uint8 (H, W), padded with 0), ``depth`` (float32 (H, W), padded with 255,
    far) and ``padding`` (uint8 (H, W), padded with 1). Views are packed as ``views``: name ->
    ``image`` (uint8 (T, 3, H, W), RGB), ``geometry`` (float32 (T, 2, 3)) and, where they have
    labels, ``label`` (uint8 (T, H, W)).
    """

    def transform(self, results: dict) -> dict:
        size = results['crop_size']
        image = _rgb_tensor(_pad(results['img'], size, PAD_RGB[::-1]))
        sample = {'image': image, 'path': results['img_path']}
        if 'day' in results:
            sample['day'] = _rgb_tensor(_pad(results['day'], size, PAD_RGB[::-1]))
        if 'gt_seg_map' in results:
            sample['label'] = torch.tensor(_pad(results['gt_seg_map'], size, IGNORE))
        if 'valid' in results:
            sample['valid'] = torch.tensor(_pad(results['valid'], size, 0))
        if 'depth' in results:
            sample['depth'] = torch.tensor(_pad(results['depth'], size, PAD_DEPTH))
        if 'padding' in results:
            sample['padding'] = torch.tensor(_pad(results['padding'], size, 1))
        if 'views' in results:
            sample['views'] = {
                name: _packed_views(*views) for name, views in results['views'].items()
            }
        return sample


def _packed_views(
    images: Sequence[np.ndarray], geometry: np.ndarray, labels: Sequence[np.ndarray] | None = None
) -> dict[str, torch.Tensor]:
    """T images (H, W, 3) BGR, their geometry (T, 2, 3) and labels (H, W) as tensors."""
    views = dict(
        image=torch.stack([_rgb_tensor(image) for image in images]),
        geometry=torch.from_numpy(geometry),
    )
    return views if labels is None else {**views, 'label': torch.tensor(np.stack(labels))}


def _rgb_tensor(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) BGR -> (3, H, W) RGB."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[::-1]))


def resize_image(
    array: np.ndarray, scale: tuple[int, int], interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Fit an array (H, W, ...) into ``scale`` (long, short), see :func:`rescale_size`."""
    height, width = array.shape[:2]
    size = rescale_size((width, height), scale)
    return cv2.resize(array, size, interpolation=interpolation)


@lru_cache(maxsize=8)
def _resized_validity_mask(
    native_hw: tuple[int, int], margins: tuple[int, ...], scale: tuple[int, int]
) -> np.ndarray:
    return resize_image(validity_mask(native_hw, margins), scale, cv2.INTER_NEAREST)


def _draw_box(shape: tuple[int, ...], crop_size: Sequence[int]) -> Box:
    (height, width), (crop_height, crop_width) = shape[:2], crop_size
    y = np.random.randint(max(height - crop_height, 0) + 1)
    x = np.random.randint(max(width - crop_width, 0) + 1)
    return y, min(y + crop_height, height), x, min(x + crop_width, width)


def _class_counts(label: np.ndarray, box: Box) -> np.ndarray:
    """Count the pixels of each value except 255 in a box of a label map."""
    y1, y2, x1, x2 = box
    crop = np.ascontiguousarray(label[y1:y2, x1:x2], np.uint8)
    # four times as fast as bincount; float32 counts are exact up to 4096 x 4096 pixels
    return cv2.calcHist([crop], [0], None, [LABEL_VALUES], [0, LABEL_VALUES]).ravel()[:IGNORE]


def check_same_size(results: dict, image: np.ndarray, label: np.ndarray) -> None:
    """Raise a :class:`UserError` if an image and its label differ in size."""
    if image.shape[:2] != label.shape:
        sizes = [f'{array.shape[1]}x{array.shape[0]}' for array in (image, label)]
        raise UserError(
            f'{results["img_path"]} is {sizes[0]} pixels, its label {results["seg_map_path"]} is '
            f'{sizes[1]}: fetch the pair again or remove both files'
        )


def _pad(array: np.ndarray, size: tuple[int, int], value: int | tuple) -> np.ndarray:
    """Pad at the bottom and right with ``value``."""
    bottom, right = size[0] - array.shape[0], size[1] - array.shape[1]
    if bottom or right:
        return cv2.copyMakeBorder(array, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=value)
    return array
