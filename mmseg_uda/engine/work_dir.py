"""Names of the files in the work dir of a training, and how to find them."""

import re
from pathlib import Path

from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in


def checkpoints(folder: str | Path) -> list[Path]:
    """Return the checkpoints ``iter_<n>.pth`` in ``folder``, highest iteration first."""
    found = {}
    for path in Path(folder).glob('iter_*.pth'):
        if match := re.fullmatch(r'iter_(\d+)\.pth', path.name):
            found[int(match[1])] = path
    return [found[iteration] for iteration in sorted(found, reverse=True)]


def last_checkpoint(folder: str | Path) -> Path | None:
    """Return the checkpoint of the highest iteration in ``folder``, if there is one."""
    return next(iter(checkpoints(folder)), None)


def best_checkpoint(folder: str | Path, metric: str) -> Path:
    """Return the file of the weights with the highest validation ``metric``."""
    return Path(folder) / f'best_{metric}.pth'


def training_folder(work_dir: Path) -> Path:
    """Return the folder with the newest checkpoint: the work dir or a sub-folder of it.

    Raises:
        UserError: the work dir does not exist or has no checkpoint.
    """
    if not work_dir.is_dir():
        raise UserError(f'work dir {work_dir} does not exist{looked_in(work_dir)}')
    folders = [work_dir, *(path for path in work_dir.iterdir() if path.is_dir())]
    newest = [path for folder in folders if (path := last_checkpoint(folder))]
    if not newest:
        raise UserError(
            f'{work_dir} and its sub-folders contain no checkpoint (iter_<n>.pth): train first, or '
            'give the work dir of a training'
        )
    return max(newest, key=lambda path: path.stat().st_mtime_ns).parent


def config_of(folder: Path) -> Path:
    """Return the config that a training saved in its folder.

    Raises:
        UserError: there is none, or more than one.
    """
    found = sorted(folder.glob('*.py'))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise UserError(
            f'{folder} must contain one config (.py), it contains {names}: '
            'use mmseg-uda test CONFIG CHECKPOINT'
        )
    return found[0]
