"""The files in the work dir of a training: their names, and how they are found."""

import re
from pathlib import Path

from mmseg_uda.errors import UserError
from mmseg_uda.files import looked_in


def checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints ``iter_<n>.pth`` in ``folder``, newest first."""
    found = {}
    for path in Path(folder).glob('iter_*.pth'):
        if match := re.fullmatch(r'iter_(\d+)\.pth', path.name):
            found[int(match[1])] = path
    return [found[iteration] for iteration in sorted(found, reverse=True)]


def last_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint of the highest iteration in ``folder``."""
    return next(iter(checkpoints(folder)), None)


def best_checkpoint(folder: str | Path, figure: str) -> Path:
    """Where a training keeps the weights with which ``figure`` was highest in its validations."""
    return Path(folder) / f'best_{figure}.pth'


def training_folder(work_dir: Path) -> Path:
    """Where the newest checkpoint is: the work dir itself or a folder in it.

    Raises:
        UserError: there is no such work dir, or no checkpoint.
    """
    if not work_dir.is_dir():
        raise UserError(f'work dir {work_dir} does not exist{looked_in(work_dir)}')
    folders = [work_dir, *(path for path in work_dir.iterdir() if path.is_dir())]
    newest = [path for folder in folders if (path := last_checkpoint(folder))]
    if not newest:
        raise UserError(
            f'{work_dir} and the folders in it hold no checkpoint (iter_<n>.pth): train first, or '
            'give a work dir of a training'
        )
    return max(newest, key=lambda path: path.stat().st_mtime_ns).parent


def config_of(folder: Path) -> Path:
    """The config that a training left in its folder.

    Raises:
        UserError: there is none, or several.
    """
    found = sorted(folder.glob('*.py'))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise UserError(
            f'{folder} must hold one config beside its checkpoints, it holds {names}: '
            'use mmseg-uda test CONFIG CHECKPOINT'
        )
    return found[0]
