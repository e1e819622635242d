"""Reading of image files. A damaged file raises an error that names it."""

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
    """Make OpenCV use one thread, also in processes that are forked inside.

    A fork copies OpenCV's thread pool without its threads; waiting on them deadlocks.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


#: Errors of Pillow for a file that is truncated, corrupt, too large, or not an image.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image(path: str) -> np.ndarray:
    """Decode a colour image to BGR, uint8 (H, W, 3).

    Raises:
        UserError: the file is missing, truncated or not an image.
    """
    return decode(path, cv2.IMREAD_COLOR)


def read_values(path: str | Path) -> np.ndarray:
    """Read the pixels of an image file as stored; (H, W) indices for a palette PNG.

    Raises:
        UserError: the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable image ({error}), make it again') from error


def image_size(path: str) -> tuple[int, int]:
    """Read (width, height) from an image file's header.

    Raises:
        UserError: the file is not a readable image.
    """
    try:
        with Image.open(path) as file:
            return file.size
    except PILLOW_ERRORS as error:
        raise UserError(f'{path}: not a readable image ({error}), fetch it again') from error


def decode(path: str, flags: int) -> np.ndarray:
    """Decode an image file with OpenCV (``flags`` as in ``cv2.imdecode``).

    Raises:
        UserError: the file is missing, truncated or not an image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from error
    if _is_cut_off(data):
        raise UserError(f'{path}: the file is cut off ({len(data)} bytes), fetch it again')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:  # the image has more pixels than OpenCV reads
        raise UserError(f'{path}: not a readable image ({error.err}), fetch it again') from error
    if image is None:
        raise UserError(f'{path}: not a readable image, fetch it again')
    return image


def read_label_values(path: str | Path) -> np.ndarray:
    """Read the values of a label file as stored: uint8 (H, W).

    The file holds grey values of 1 to 16 bits (1 bit: 0 and 1) or palette indices.

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

    Decoders silently fill the missing part of a JPEG file with grey. The marker need not be at the
    very end, because some cameras append bytes.
    """
    tail = data[-1024:]
    if data.startswith(b'\x89PNG'):
        return b'IEND' not in tail
    if data.startswith(b'\xff\xd8'):
        return b'\xff\xd9' not in tail
    return False
