"""The package as a library: read configs, train, test, and predict with a trained model.

import mmseg_uda

model = mmseg_uda.load('work_dirs/daformer_mitb5_gta2cs/seed0')
labels = model.predict('photo.jpg')  # (H, W) uint8 train ids
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.device import get_device

import mmseg_uda.register  # noqa: F401 - a config in a checkpoint imports nothing
from mmseg_uda.compat.checkpoints import config_in
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.runner import newest_checkpoint
from mmseg_uda.engine.testing import TestOutputs, TestSettings, test
from mmseg_uda.engine.train import train
from mmseg_uda.engine.work_dir import training_folder
from mmseg_uda.evaluation.inference import build_segmentor, image_predictor, test_metainfo
from mmseg_uda.models.checkpoint import load_checkpoint

__all__ = ['Model', 'TestOutputs', 'TestSettings', 'load', 'load_config', 'test', 'train']

Image = str | PathLike | np.ndarray


class Model:
    """A trained network that segments images.

    Attributes:
        segmentor: the network, an mmseg model in evaluation mode.
        config: the config that it was trained with.
        classes: names by train id.
        palette: RGB colours by train id.
    """

    def __init__(self, segmentor: Any, config: Any) -> None:
        self.segmentor = segmentor
        self.config = config
        metainfo = test_metainfo(config)
        self.classes: list[str] = list(metainfo['classes'])
        self.palette: list[list[int]] = [list(colour) for colour in metainfo['palette']]
        self._predict = image_predictor(segmentor, config)

    def predict(self, images: Image | Iterable[Image]) -> np.ndarray | list[np.ndarray]:
        """Segment images of any size, through the test pipeline of the config.

        Args:
            images: a file or an array (H, W, 3) uint8 RGB; or several of them.

        Returns:
            Train ids (H, W) uint8 for one image, a list of them for several.

        Raises:
            UserError: a file is missing, damaged, or too large or small for the network.
        """
        if isinstance(images, Image):
            return self._predict(images)[1]
        return [self._predict(image)[1] for image in images]


def load(
    checkpoint: str | PathLike,
    config: str | PathLike | None = None,
    network: str = 'teacher',
    device: str | None = None,
) -> Model:
    """The model of a checkpoint, ready to predict.

    Args:
        checkpoint: a ``.pth`` file, or a work dir, of which the newest whole checkpoint is taken.
        config: of the training; default the one that our checkpoints hold. Published checkpoints
            hold none. It is read as data; nothing in it is run.
        network: ``teacher`` (which methods without one lack), ``student`` or ``mic_teacher``.
        device: e.g. ``cpu`` or ``cuda:1``; default the first GPU, else the CPU.

    Raises:
        UserError: no such file or network in it, no config, or another architecture.
    """
    path = Path(checkpoint)
    if path.is_dir():
        path, content = newest_checkpoint(training_folder(path))
    else:
        content = {} if config else load_checkpoint(path)
    settings = load_config(config) if config else config_in(content, path)
    segmentor = build_segmentor(settings, str(path), network, device or get_device())
    return Model(segmentor, settings)
