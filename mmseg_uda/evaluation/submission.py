"""Checked archives of predictions for test servers.

This module imports no heavy library.
"""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_uda.datasets.image_files import PILLOW_ERRORS, image_size
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write

LABELS, OTHERS = 'labelTrainIds', ('labelTrainIds_invalid', 'confidence')
SUFFIX = '_rgb_anon.png'
COUNT, SIZE = 151, (1920, 1080)  # Dark Zurich's test images; (width, height)
CLASSES = 19
SHOWN = 5  # file names in a message


def dark_zurich(folder: Path, images: Path | None) -> dict[str, dict[str, Path]]:
    """Collect and check the files of a submission to Dark Zurich's server.

    The server scores ``labelTrainIds``. It also requires ``labelTrainIds_invalid`` and
    ``confidence``, for another benchmark; where these are missing, the labels are used for them.

    Args:
        folder: the label PNGs, or a folder with ``labelTrainIds`` and optionally the other two.
        images: folder of the test images (``*_rgb_anon.png``, also in sub-folders); the labels must
            have their names and sizes. None: only number and size of the real test set are checked.

    Returns:
        Folder in the archive -> file name -> file.

    Raises:
        UserError: lists every problem.
    """
    labels = folder / LABELS if (folder / LABELS).is_dir() else folder
    expected = _image_sizes(images) if images is not None else None
    folders = {LABELS: _files(labels)}
    problems = _label_problems(folders[LABELS], expected, labels)
    for name in OTHERS:
        own = folder / name
        folders[name] = _files(own) if own.is_dir() else folders[LABELS]
        if own.is_dir():
            problems += _name_problems(folders[name], set(folders[LABELS]), own, 'the labels')
    if problems:
        raise UserError(f'{folder} cannot be submitted: ' + '; '.join(problems))
    return folders


def write_archive(folders: dict[str, dict[str, Path]], path: Path) -> None:
    """Write the files into a zip archive; equal files give equal archives.

    Raises:
        UserError: the archive cannot be written.
    """
    with atomic_write(path) as file, zipfile.ZipFile(file, 'w') as archive:
        for folder, files in folders.items():
            for name, source in sorted(files.items()):
                # ZipInfo without a date; PNGs are compressed already.
                archive.writestr(zipfile.ZipInfo(f'{folder}/{name}'), source.read_bytes())


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f'{folder} does not exist; mmseg-uda test --format-only writes labels')
    return {path.name: path for path in folder.iterdir() if not path.name.startswith('.')}


def _image_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> (width, height) of the test images."""
    paths = sorted(folder.rglob(f'*{SUFFIX}'))
    if not paths:
        raise UserError(f'{folder} holds no images *{SUFFIX}: give the test images with --images')
    return {path.name: image_size(str(path)) for path in paths}


def _label_problems(
    labels: dict[str, Path], expected: dict[str, tuple[int, int]] | None, folder: Path
) -> list[str]:
    if expected is not None:
        problems = _name_problems(labels, set(expected), folder, 'the images')
    else:
        wrong = sorted(name for name in labels if not name.endswith(SUFFIX))
        problems = [f'{len(wrong)} names do not end in {SUFFIX}: {_some(wrong)}'] if wrong else []
        if len(labels) != COUNT:
            problems.append(f'{folder} holds {len(labels)} files, the test set has {COUNT} images')
    for name, path in sorted(labels.items()):
        if expected is None or name in expected:
            problem = _pixel_problem(path, SIZE if expected is None else expected[name])
            problems += [f'{name}: {problem}'] if problem else []
    return problems


def _name_problems(files: dict[str, Path], names: set[str], folder: Path, what: str) -> list[str]:
    pairs = (
        ('lacks', sorted(names - files.keys())),
        (f'has more than {what}:', sorted(files.keys() - names)),
    )
    return [f'{folder} {verb} {len(wrong)} files, {_some(wrong)}' for verb, wrong in pairs if wrong]


def _pixel_problem(path: Path, size: tuple[int, int]) -> str | None:
    try:
        with Image.open(path) as image:
            if image.mode not in ('L', 'P'):
                return f'is of mode {image.mode}, not 8-bit with one channel'
            if image.size != size:
                return f'has {_pixels(image.size)} pixels, not {_pixels(size)}'
            values = np.unique(np.asarray(image))
    except PILLOW_ERRORS as error:
        return f'cannot be read ({error})'
    wrong = [int(value) for value in values if CLASSES <= value != IGNORE]
    return f'holds {wrong}, no train ids (0..{CLASSES - 1}, {IGNORE})' if wrong else None


def _pixels(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'


def _some(names: list[str]) -> str:
    return ', '.join(names[:SHOWN]) + (', ...' if len(names) > SHOWN else '')
