"""Depth maps for CDDA: 8-bit images of inverse depth (bright = near), stored beside the images."""

import os

import cv2
import numpy as np

from mmseg_uda.datasets.image_files import decode
from mmseg_uda.errors import UserError

#: Number of depth bins. Depths are in 0..255; after resizing they are fractional.
BINS = 256
#: Padding value of depth maps: far away.
PAD_DEPTH = 255

#: Depth of each value v of an image file: floor(255 exp(-6 v / 256)), 0 = near.
DEPTHS = np.floor(255 * np.exp(np.arange(256, dtype=np.float32) * np.float32(-6 / 256)))


def depth_name(image_name: str) -> str:
    """Path of an image's depth map below the folder of depth maps.

    It is the image's path with the suffix ``.png``; for Cityscapes ``<city>/<stem>_depth.png``.

    Args:
        image_name: path of the image below the folder of images.
    """
    return os.path.splitext(image_name)[0].replace('leftImg8bit', 'depth') + '.png'


def read_depth(path: str) -> np.ndarray:
    """Read a depth map: float32 (H, W) of integers from 0 (near) to 255 (far).

    Raises:
        UserError: the file is missing, damaged, or not an image of one 8-bit channel.
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
    """Count the pixels of each class in each depth bin: int64 (C, 256).

    Args:
        label: (H, W) train ids; other values are not counted.
        depth: (H, W) in 0..255; the bin is its integer part.
    """
    valid = label < num_classes
    bins = label[valid].astype(np.int64) * BINS + depth[valid].astype(np.int64)
    return np.bincount(bins, minlength=num_classes * BINS).reshape(num_classes, BINS)
