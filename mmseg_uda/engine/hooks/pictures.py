"""Pictures of what a method sees and believes, every so many iterations."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_uda.datasets.labels import LABEL_VALUES
from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write
from mmseg_uda.uda.components.augmentation import denormalise


@HOOKS.register_module()
class PicturePanelHook(Hook):
    """Draws a panel per image of the batch into ``<work_dir>/pictures/<iteration>_<image>.png``.

    Three rows: source image, its truth, and the student's prediction for the target image; target
    image, pseudo-label and its weight; mixed image, its label and its weight. For methods that
    keep their step (``keep_pictures``); others have nothing to draw. A picture that cannot be
    written is a warning.

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
        if hasattr(runner.model, 'keep_pictures'):
            runner.model.keep_pictures = self._due(runner)

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        if not self._due(runner):
            return
        model, step = runner.model, runner.model.pictures
        palette = np.array(runner.train_dataloader.dataset.metainfo['palette'], np.uint8)
        source, target, mixed = step.batch.source, step.batch.target, step.mixed
        model.student.eval()  # the loop puts it back into training mode
        with torch.no_grad():
            prediction = model.student.encode_decode(target.images).argmax(1)

        def photo(images: Tensor) -> Tensor:
            norm = model.data_preprocessor
            return denormalise(images, norm.mean, norm.std).clamp(0, 1)

        tiles = [
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
        for index in range(len(source.images)):
            pictures = [_to_rgb(tile[index], palette) for tile in tiles]
            panel = np.vstack([np.hstack(pictures[start : start + 3]) for start in (0, 3, 6)])
            path = Path(runner.work_dir) / 'pictures' / f'{runner.iter + 1:06d}_{index}.png'
            try:
                with atomic_write(path) as file:
                    file.write(cv2.imencode('.png', panel[..., ::-1])[1].tobytes())
            except UserError as error:
                runner.logger.warning(f'{error}. The training goes on without this picture')
        model.pictures = None


def _to_rgb(picture: Tensor, palette: np.ndarray) -> np.ndarray:
    """A photo (3, H, W) or weight (H, W) in [0, 1], or a label map (H, W), as RGB uint8."""
    array = picture.cpu().numpy()
    if picture.ndim == 3:
        return (255 * array).round().astype(np.uint8).transpose(1, 2, 0)
    if picture.is_floating_point():
        return np.repeat((255 * array.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    colours = np.zeros((LABEL_VALUES, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[array]
