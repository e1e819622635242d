"""Importance weights of target images: each image's share of all pixels predicted as a class.

Stage 2 of DA-SAC (Araslanov and Roth, CVPR 2021). ``target_sampling`` of the training data reads
the file. The pass over the images can be interrupted at any image and resumed.
"""

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device

from mmseg_uda import __version__
from mmseg_uda.datasets.image_files import forkable_opencv, image_size, read_label_values
from mmseg_uda.datasets.importance_sampling import FORMAT, importance_weights, published_name
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.datasets.statistics import count_classes
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor, predict, train_ids
from mmseg_uda.files import atomic_write, load_record, save_json, sha256
from mmseg_uda.preparation.counts_file import CountsFile
from mmseg_uda.preparation.target_images import loader_of, target_loader
from mmseg_uda.settings import differences, plain

PUBLISHED = '.data'  # suffix of published files


def weights_of_predictions(
    config: str, checkpoint: str, out: str, cfg_options: dict[str, Any] | None = None
) -> None:
    """Predict a config's target images with the student, as in tests, and write their weights.

    The counts of images that are predicted already are in ``<out>.partial``: the same call resumes
    after an interruption and writes the same file. If ``out`` was made by the same call, nothing
    is done.

    Args:
        config: file of the model's config; ``train_dataloader.dataset.target`` names the images.
        checkpoint: file with the student's weights.
        out: the written file; DA-SAC's format if it ends in ``.data``, else JSON.
        cfg_options: changes of the config, dotted key -> value.

    Raises:
        UserError: bad config, checkpoint or images, or ``out`` exists and is of another call.
    """
    loaded = load_config(config, cfg_options)
    segmentor = build_segmentor(loaded, checkpoint, device=get_device())
    loader, paths = target_loader(loaded, segmentor.num_classes)
    classes, names = loader.dataset.metainfo['classes'], _file_names(paths)
    call = _call(loaded, checkpoint)
    if _is_made(Path(out), call):
        print(f'{out} is there already, made by the same call')
        return
    counts = CountsFile(Path(f'{out}.partial'), call, len(classes))
    rest = [index for index, name in enumerate(names) if name not in counts]
    with forkable_opencv():
        for index, (sample,) in zip(rest, predict(segmentor, loader_of(loader, rest)), strict=True):
            counts.add(names[index], count_classes(train_ids(sample))[: len(classes)])
    file = {'file': str(checkpoint)} | call['checkpoint']
    provenance = call | {'config': str(config), 'checkpoint': file}
    _write(Path(out), names, np.array([counts[name] for name in names]), classes, provenance)
    counts.remove()


def weights_of_labels(
    config: str, labels: str, pattern: str, out: str, cfg_options: dict[str, Any] | None = None
) -> None:
    """Write the weights of a config's target images from predictions that exist already.

    Args:
        config: ``train_dataloader.dataset.target`` names the images and their classes.
        labels: folder of the predictions: train ids, 255 is not counted. A prediction has the name
            of its image (with ``.png``) or, as DA-SAC writes it, of the image's Cityscapes label.
        pattern: glob of the predictions below ``labels``.
        out: see :func:`weights_of_predictions`.
        cfg_options: changes of the config, dotted key -> value.

    Raises:
        UserError: bad config; a prediction is missing, has another size than its image or values
            that are no train ids; or ``out`` exists.
    """
    loaded = load_config(config, cfg_options)
    _is_made(Path(out), None)
    loader, paths = target_loader(loaded)
    classes, names = loader.dataset.metainfo['classes'], _file_names(paths)
    images = [info['img_path'] for info in loader.dataset.infos]
    counts = [_counts_of(*pair, len(classes)) for pair in _pairs(images, Path(labels), pattern)]
    provenance = {'config': str(config), 'labels': str(labels), 'pattern': pattern}
    _write(Path(out), names, np.array(counts), classes, provenance)


def _call(config: Config, checkpoint: str) -> dict[str, Any]:
    """What determines the predictions."""
    return plain(
        dict(
            checkpoint=dict(sha256=sha256(checkpoint)),
            segmentor=config.model.segmentor,
            data_preprocessor=config.model.get('data_preprocessor'),
            target=config.test_dataloader.dataset,
        )
    )


def _file_names(paths: Sequence[str]) -> list[str]:
    """File names without folder; they must differ."""
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise UserError(
            f'two target images have the file name {twice}: importance weights are by file name'
        )
    return names


def _is_made(out: Path, call: Mapping[str, Any] | None) -> bool:
    """Whether the same call made ``out``.

    Raises:
        UserError: ``out`` exists and was, or may have been, made by another call.
    """
    if not out.exists():
        return False
    reason, advice = '', f'delete {out} or write to another file'
    if call is not None and out.suffix != PUBLISHED:
        keys = ['format', 'provenance']
        record = load_record(out, 'a file of importance weights', advice, keys)
        made = {name: record['provenance'].get(name) for name in call}
        if isinstance(made['checkpoint'], dict):
            made['checkpoint'] = {'sha256': made['checkpoint'].get('sha256')}
        if not (changes := differences(made, call)):
            return True
        reason = f', made with other settings ({changes[0]})'
    raise UserError(f'{out} exists already{reason}: {advice}')


def _pairs(images: Sequence[str], folder: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    """Image and prediction of each image."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern)):
        if (other := found.setdefault(path.name, path)) is not path:
            raise UserError(f'{other} and {path} have the same name: give a narrower --ext')
    if not found:
        raise UserError(f'--labels {folder}: no file {pattern} in it')
    for image in images:
        name = os.path.basename(image)
        candidates = Path(name).with_suffix('.png').name, published_name(name)
        prediction = next((found[name] for name in candidates if name in found), None)
        if prediction is None:
            raise UserError(
                f'--labels {folder} has no prediction of {image}: none of the {len(found)} files '
                f'{pattern} is called {" or ".join(dict.fromkeys(candidates))}'
            )
        yield image, prediction


def _counts_of(image: str, prediction: Path, num_classes: int) -> list[int]:
    """Pixels of each class in the prediction of an image."""
    values, (width, height) = read_label_values(prediction), image_size(image)
    if values.shape != (height, width):
        raise UserError(
            f'{prediction} has {values.shape[0]} x {values.shape[1]} pixels, its image {image} '
            f'{height} x {width}: predict at full resolution'
        )
    unknown = values[(values >= num_classes) & (values != IGNORE)]
    if unknown.size:
        raise UserError(
            f'{prediction}: value {unknown[0]} is neither a train id (0 to {num_classes - 1}) nor '
            f'{IGNORE}: use predictions of train ids, not of label ids (the folder cs of DA-SAC)'
        )
    return count_classes(values)[:num_classes]


def _write(
    out: Path,
    names: Sequence[str],
    counts: np.ndarray,
    classes: Sequence[str],
    provenance: Mapping[str, Any],
) -> None:
    """Print the counts and write the weights.

    Args:
        counts: (N, C) pixels of each class in the prediction for each image.
    """
    print(_table(counts, classes))
    if never := [name for name, count in zip(classes, counts.sum(0), strict=True) if not count]:
        print(
            f'warning: never predicted: {", ".join(never)}; for them, target images are drawn '
            'uniformly',
            file=sys.stderr,
        )
    weights = importance_weights(counts)
    by_name = {
        name: {int(c): float(weights[row, c]) for c in counts[row].nonzero()[0]}
        for row, name in enumerate(names)
    }
    if out.suffix == PUBLISHED:
        with atomic_write(out) as file:
            file.write(_as_published(by_name))
    else:
        provenance = {
            **provenance,
            'mmseg_uda': __version__,
            'images': len(names),
            'pixels': counts.sum(0).tolist(),
        }
        content = dict(format=FORMAT, classes=list(classes), provenance=provenance, weights=by_name)
        save_json(out, content)
    print(f'importance weights: {out}')


def _table(counts: np.ndarray, classes: Sequence[str]) -> str:
    """A line for each class: predicted pixels, and images that contain it."""
    width = max(map(len, classes))
    rows = zip(classes, counts.sum(0), (counts > 0).sum(0), strict=True)
    lines = [f'{name:{width}}  {pixels:14}  {images:6}' for name, pixels, images in rows]
    return '\n'.join([f'{"class":{width}}  {"pixels":>14}  images', *lines])


def _as_published(weights: Mapping[str, Mapping[int, float]]) -> bytes:
    """Content of a file that DA-SAC's code can read, with PyTorch before 1.6 and NumPy before 2.

    Args:
        weights: image file name -> train id -> share.
    """
    content = {
        published_name(name): {np.uint8(c): np.float64(share) for c, share in shares.items()}
        for name, shares in weights.items()
    }
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue().replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')
