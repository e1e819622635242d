"""Reads files written by ``torch.save``: checks them for damage and runs no code in them."""

import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in, sha256

_ZIP = b'PK\x03\x04'
_LEGACY = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # first bytes of files by torch before 1.6

_NUMPY = np._core.multiarray
# Types of NumPy numbers, which older code stored in the meta of checkpoints.
SAFE_GLOBALS = [
    np.ndarray,
    np.dtype,
    _NUMPY._reconstruct,
    _NUMPY.scalar,
    # their names before NumPy 2
    (_NUMPY._reconstruct, 'numpy.core.multiarray._reconstruct'),
    (_NUMPY.scalar, 'numpy.core.multiarray.scalar'),
    *(type(np.dtype(name)) for name in ('float32', 'float64', 'int32', 'int64', 'uint8', 'bool')),
]


def read_tensors(path: str | Path, advice: str) -> Any:
    """Read a file of tensors and plain values into CPU memory.

    The checksums of the file's zip archive, which torch ignores, are verified. Files of torch
    before 1.6 have no checksums: only damage to their structure is detected. The names of published
    ones often contain the first digits of their SHA-256 (``resnet101-5d3b4d8f.pth``); if they do
    not, or the digits differ, a warning is logged.

    Args:
        path: the file.
        advice: what the user should do if the file is damaged.

    Raises:
        UserError: the file is missing, damaged, or contains other objects.
    """
    path = Path(path)
    try:
        with open(path, 'rb') as file:
            head = file.read(len(_LEGACY))
    except FileNotFoundError as error:
        raise UserError(f'{path} does not exist{looked_in(path)}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error.strerror}); {advice}') from error
    if not head.startswith(_ZIP) and head != _LEGACY:
        raise UserError(f'{path} is damaged or was not written by torch.save; {advice}')
    try:
        with open(path, 'rb') as file, torch.serialization.safe_globals(SAFE_GLOBALS):
            if head == _LEGACY:
                content = torch.load(file, map_location='cpu', weights_only=True)
                damage = 'bytes after its end' if file.read(1) else None
            else:
                member = zipfile.ZipFile(file).testzip()
                damage = member and f'checksum of {member}'
                content = damage or torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged files raise errors of almost any type
        # not torch's message, which advises to run the code
        code = re.search(
            r'GLOBAL (\S+)|Trying to call reduce for unrecognized function', str(error)
        )
        if code:
            raise UserError(
                f'{path} is not loaded, because that would run code stored in the file'
                f'{f" ({code[1]})" if code[1] else ""}. If you trust its origin, re-save its '
                'tensors with the code that wrote it: torch.save(checkpoint["state_dict"], path)'
            ) from None
        raise UserError(f'{path} is damaged ({type(error).__name__}); {advice}') from error
    if damage:
        raise UserError(f'{path} is damaged ({damage}); {advice}')
    if head == _LEGACY:
        _warn_of_legacy(path)
    return content


def _warn_of_legacy(path: Path) -> None:
    stated = re.search(r'-([0-9a-f]{8,64})\.', path.name)
    if stated and sha256(path).startswith(stated[1]):
        return
    what = 'does not have the SHA-256 in its name' if stated else 'has no checksums'
    print_log(
        f'{path}, written by torch before 1.6, {what}: damage may remain undetected. If in doubt, '
        'download it again',
        logger='current',
        level=logging.WARNING,
    )
