"""Depth maps as CDDA uses them: 8-bit images of inverse depth (bright = near) beside the photos."""

import os

import cv2
import numpy as np

from mmseg_uda.datasets.image_files import decode
from mmseg_uda.errors import UserError

#: Values of a depth map are in 0..255, in training fractional where it was resized.
BINS = 256
#: What a depth map is padded with: far away.
PAD_DEPTH = 255

#: Depth of each value v of an image file: 255 exp(-6 v / 256), cut to an integer. 0 = near.
DEPTHS = np.floor(255 * np.exp(np.arange(256, dtype=np.float32) * np.float32(-6 / 256)))


def depth_name(image_name: str) -> str:
    """Name of an image's depth map in a folder of its own, sub-folders included.

    It is the image's, with the suffix ``.png``; of Cityscapes, ``<city>/<stem>_depth.png``.
    """
    return os.path.splitext(image_name)[0].replace('leftImg8bit', 'depth') + '.png'


def read_depth(path: str) -> np.ndarray:
    """Depth of each pixel, 0 (near) to 255 (far), integers; float32 (H, W).

    Raises:
        UserError: the file is missing or damaged, or not one channel of 8 bits.
    """
    image = decode(path, cv2.IMREAD_UNCHANGED)
    if image.ndim != 2 or image.dtype != np.uint8:
        channels = image.shape[2] if image.ndim == 3 else 1
        raise UserError(
            f'{path}: a depth map has one channel of 8 bits, this has {channels} of {image.dtype}; '
            'make it with mmseg-uda estimate-depth'
        )
    return DEPTHS[image]


def depth_counts(label: np.ndarray, depth: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixels of each class at each depth, int64 (C, 256).

    Args:
        label: (H, W) train ids; what is no class is not counted.
        depth: (H, W) in 0..255, cut to integers.
    """
    valid = label < num_classes
    bins = label[valid].astype(np.int64) * BINS + depth[valid].astype(np.int64)
    return np.bincount(bins, minlength=num_classes * BINS).reshape(num_classes, BINS)
