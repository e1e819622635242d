"""Images of a method's inputs, pseudo-labels and predictions during training."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.comparison import coloured
from mmseg_uda.files import atomic_write
from mmseg_uda.uda.components.augmentation import denormalise


@HOOKS.register_module()
class PicturePanelHook(Hook):
    """Writes a panel per pair of images: ``<work_dir>/pictures/<iteration>_<pair>.png``.

    Its rows are: source image, its label, the student's prediction for the target image; target
    image, pseudo-label, pseudo-label weight; mixed image, its label, its weight. Methods without
    ``keep_pictures`` are ignored. An image that cannot be written causes only a warning.

    Args:
        interval: iterations between two panels.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000) -> None:
        self.interval = interval

    def _due(self, runner: Runner) -> bool:
        return (
            is_main_process()
            and hasattr(runner.model, 'keep_pictures')
            and self.every_n_train_iters(runner, self.interval)
        )

    def before_train_iter(self, runner: Runner, *_, **__) -> None:
        """Request the images of the step if a panel is due."""
        if hasattr(runner.model, 'keep_pictures'):
            runner.model.keep_pictures = self._due(runner)

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        """Write the panels of the step if they are due."""
        if not self._due(runner):
            return
        palette = np.array(runner.train_dataloader.dataset.metainfo['palette'], np.uint8)
        tiles = _tiles(runner.model)
        for index in range(min(map(len, tiles))):
            pictures = [_to_rgb(tile[index], palette) for tile in tiles]
            panel = np.vstack([np.hstack(pictures[start : start + 3]) for start in (0, 3, 6)])
            path = Path(runner.work_dir) / 'pictures' / f'{runner.iter + 1:06d}_{index}.png'
            try:
                with atomic_write(path) as file:
                    file.write(cv2.imencode('.png', panel[..., ::-1])[1].tobytes())
            except UserError as error:
                runner.logger.warning(f'{error}. The training continues without this picture')
        runner.model.pictures = None


def _tiles(model: Any) -> list[Tensor]:
    """Return the nine tiles of a panel, each a batch of images, labels or weights."""
    step = model.pictures
    source, target, mixed = step.batch.source, step.batch.target, step.mixed
    model.student.eval()  # the training loop sets it back to training mode
    with torch.no_grad():
        prediction = model.student.encode_decode(target.images).argmax(1)

    def photo(images: Tensor) -> Tensor:
        norm = model.data_preprocessor
        return denormalise(images, norm.mean, norm.std).clamp(0, 1)

    return [
        photo(source.images),
        source.labels,
        prediction,
        photo(target.images),
        step.pseudo.labels,
        step.pseudo.weight,
        photo(mixed.images),
        mixed.labels,
        mixed.weight,
    ]


def _to_rgb(picture: Tensor, palette: np.ndarray) -> np.ndarray:
    """Convert an image (3, H, W) or weights (H, W) in [0, 1], or labels (H, W), to RGB uint8."""
    array = picture.cpu().numpy()
    if picture.ndim == 3:
        return (255 * array).round().astype(np.uint8).transpose(1, 2, 0)
    if picture.is_floating_point():
        return np.repeat((255 * array.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    return coloured(array, palette)
