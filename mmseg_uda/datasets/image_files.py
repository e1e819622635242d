"""Reading image files so that a damaged one is an error that names it, never a grey patch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_uda.errors import UserError

_ONE_CHANNEL = {'1', 'L', 'P', 'I', 'I;16', 'I;16B'}  # modes of Pillow


@contextmanager
def forkable_opencv() -> Iterator[None]:
    """OpenCV works in one thread, here and in processes that are forked meanwhile.

    A fork copies the pool of threads without the threads; who then waits for them waits for ever.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


#: What Pillow raises for a file that is cut off, garbled, no image, or larger than it reads.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image(path: str) -> np.ndarray:
    """Decode a colour image to BGR, uint8 (H, W, 3).

    Raises:
        UserError: the file is missing, cut off or no image.
    """
    return decode(path, cv2.IMREAD_COLOR)


def read_values(path: str | Path) -> np.ndarray:
    """Pixels of an image file as they are stored; of a palette PNG (H, W), its indices.

    Raises:
        UserError: the file is missing, cut off or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable image ({error}), make it again') from error


def image_size(path: str) -> tuple[int, int]:
    """(width, height) in an image file's header; UserError where there is none."""
    try:
        with Image.open(path) as file:
            return file.size
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable image ({error}), fetch it again') from error


def decode(path: str, flags: int) -> np.ndarray:
    """Decode an image file with OpenCV (``flags`` as in ``cv2.imdecode``).

    Raises:
        UserError: the file is missing, cut off or no image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from error
    if _is_cut_off(data):
        raise UserError(f'{path}: the file is cut off ({len(data)} bytes), fetch it again')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:  # of an image with more pixels than OpenCV reads
        raise UserError(f'{path}: not a readable image ({error.err}), fetch it again') from error
    if image is None:
        raise UserError(f'{path}: not a readable image, fetch it again')
    return image


def read_label_values(path: str | Path) -> np.ndarray:
    """The values of a label file as they are stored, uint8 (H, W).

    Grey of 1 to 16 bits, or indices of a palette. A 1-bit file holds 0 and 1.

    Raises:
        UserError: the file is missing, damaged, has several channels or a value above 255.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable label ({error}), make it again') from error
    if mode not in _ONE_CHANNEL:
        raise UserError(
            f'{path}: a label has one channel, this has shape {values.shape} (mode {mode})'
        )
    if values.dtype.itemsize > 1 and not 0 <= values.min() <= values.max() <= 255:
        value = values.max() if values.max() > 255 else values.min()
        raise UserError(
            f'{path}: label value {value} is not in 0..255: labels are train ids, 255 is ignore; '
            'convert the labels'
        )
    return values.astype(np.uint8)


def _is_cut_off(data: bytes) -> bool:
    """Whether the end marker of a PNG or JPEG file is missing.

    Decoders fill what is missing in a JPEG file with grey and say nothing. Some cameras append
    bytes after the marker, so it need not be the very last thing.
    """
    tail = data[-1024:]
    if data.startswith(b'\x89PNG'):
        return b'IEND' not in tail
    if data.startswith(b'\xff\xd8'):
        return b'\xff\xd9' not in tail
    return False
