"""The names of the files in the work dir of a training."""

import re
from pathlib import Path


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
