"""Tiny data sets in the formats of the real ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image


def write_image(path: Path, size_hw, seed: int = 0) -> np.ndarray:
    """A noise image; returns it as BGR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), image)
    return image


def write_palette_label(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids.astype(np.uint8))
    picture.putpalette(list(range(256)) * 3)
    picture.save(path)


def write_train_ids(path: Path, train_ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(train_ids.astype(np.uint8)).save(path)


def stripes(size_hw, classes) -> np.ndarray:
    """A label map of vertical stripes of equal width."""
    height, width = size_hw
    columns = np.arange(width) * len(classes) // width
    return np.broadcast_to(np.array(classes, np.uint8)[columns], (height, width)).copy()


@pytest.fixture(autouse=True)
def mmseg_scope():
    """What a config's ``default_scope`` does in a run."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmseg')
