"""Writing predictions: label maps for test servers, pictures for people."""

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
    """Name the output of each image, without suffix.

    The name is the image's base name, preceded by as many of its folders (city, sequence) as are
    needed to make all names different.

    Raises:
        UserError: two images differ only in their suffix.
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
    """Write a PNG whose pixel values are ids.

    Args:
        label: (H, W) uint8.
        palette: RGB colour per id; None: grey.
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
        opacity: weight of the colours, from 0 (only the image) to 1.
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
    """Write a prediction blended with its image, or for ``opacity`` 1 as a palette PNG of ids.

    Args:
        label: train ids (H, W) uint8.
        palette: RGB colour per id.
        opacity: weight of the colours, 0 to 1.
    """
    if opacity == 1:
        write_label(path, label, palette)
    else:
        write_overlay(path, read_image(image_path), label, palette, opacity)


def to_label_ids(label: np.ndarray) -> np.ndarray:
    """Train ids (H, W) -> Cityscapes label ids (H, W) uint8."""
    table = np.array([TRAIN_TO_CITYSCAPES[train_id] for train_id in range(len(CLASSES))], np.uint8)
    return table[label]


class BackgroundWriter:
    """Runs jobs (compressing, writing) in threads, parallel to the network.

    It is a context manager; leaving it waits for all jobs. An error in a job is raised by a later
    ``submit`` or on leaving. The number of waiting jobs is limited, so that a slow disk does not
    fill the memory.

    Args:
        threads: number of threads; twice as many jobs may wait.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._most = 2 * threads
        self._waiting: deque[Future] = deque()

    def submit(self, job: Callable[..., None], *args: Any) -> None:
        """Schedule ``job(*args)``; blocks while too many jobs wait."""
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
