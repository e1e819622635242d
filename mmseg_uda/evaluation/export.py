"""Predictions as files: label maps for test servers, pictures for people."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmseg_uda.datasets.image_files import read_image
from mmseg_uda.datasets.labels import CLASSES, TRAIN_TO_CITYSCAPES
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write


def output_names(paths: Sequence[str | os.PathLike]) -> list[str]:
    """A name without suffix for each image's output.

    The image's base name; with as many of its folders (city, sequence) in front as it takes to keep
    all images apart, the same number for every image.

    Raises:
        UserError: two images differ in their suffix alone.
    """
    parts = [Path(os.path.abspath(path)).with_suffix('').parts[1:] for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ['/'.join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    twin = next(i for i, name in enumerate(names) if name in names[:i])
    first = names.index(names[twin])
    raise UserError(
        f'{paths[first]} and {paths[twin]} would be written to the same file: rename one of them'
    )


def write_label(
    path: str | os.PathLike, label: np.ndarray, palette: Sequence[Sequence[int]] | None = None
) -> None:
    """Write ids (H, W) uint8 as a PNG: grey, or with ``palette`` (RGB per id) in colour.

    The pixel values are the ids in both cases.
    """
    image = Image.fromarray(label)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    with atomic_write(path) as file:
        image.save(file, format='png')


def write_overlay(
    path: str | os.PathLike,
    image: np.ndarray,
    label: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float,
) -> None:
    """Write ``image`` (H, W, 3) BGR uint8 blended with the colours of ``label`` (H, W) as a PNG.

    Args:
        palette: RGB colour per id.
        opacity: weight of the colours, 0 (image alone) .. 1.
    """
    colours = np.asarray(palette, np.uint8)[label][..., ::-1]
    blended = cv2.addWeighted(image, 1 - opacity, colours, opacity, 0)
    with atomic_write(path) as file:
        file.write(cv2.imencode('.png', blended)[1])


def write_picture(
    path: str | os.PathLike,
    image_path: str,
    label: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float,
) -> None:
    """Write a prediction over its image, or with ``opacity`` 1 as a palette PNG of its ids."""
    if opacity == 1:
        write_label(path, label, palette)
    else:
        write_overlay(path, read_image(image_path), label, palette, opacity)


def to_label_ids(label: np.ndarray) -> np.ndarray:
    """Train ids (H, W) -> Cityscapes label ids (H, W) uint8."""
    table = np.array([TRAIN_TO_CITYSCAPES[train_id] for train_id in range(len(CLASSES))], np.uint8)
    return table[label]


class BackgroundWriter:
    """Runs jobs (compressing, writing) on threads while the network goes on.

    A context manager; leaving it waits for all jobs. An error in a job comes up in a later
    ``submit`` or on leaving. Few jobs wait at a time, so that slow disks do not fill the memory.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._most = 2 * threads
        self._waiting: deque[Future] = deque()

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Run ``job(*args)`` soon; blocks while too many wait."""
        while len(self._waiting) >= self._most:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(job, *args))

    def __enter__(self) -> 'BackgroundWriter':
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._pool.shutdown(wait=True)
        if kind is None:
            for job in self._waiting:
                job.result()
