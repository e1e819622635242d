"""Python interface: read configs, train, test, and predict with a trained model.

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

import mmseg_uda.register  # noqa: F401 - a config stored in a checkpoint does not import it
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
        classes: names of the classes, in the order of their train ids.
        palette: RGB colours of the classes, 0..255.
    """

    def __init__(self, segmentor: Any, config: Any) -> None:
        self.segmentor = segmentor
        self.config = config
        metainfo = test_metainfo(config)
        self.classes: list[str] = list(metainfo['classes'])
        self.palette: list[list[int]] = [list(colour) for colour in metainfo['palette']]
        self._predict = image_predictor(segmentor, config)

    def predict(self, images: Image | Iterable[Image]) -> np.ndarray | list[np.ndarray]:
        """Segment images of any size, with the test pipeline of the config.

        Args:
            images: a file, an array (H, W, 3) uint8 RGB, or an iterable of these.

        Returns:
            Train ids (H, W) uint8 of one image, or a list of them for an iterable.

        Raises:
            UserError: a file is missing or damaged, or an image is too large or too small.
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
    """Load the model of a checkpoint for prediction.

    Args:
        checkpoint: a ``.pth`` file, or a work dir, whose newest intact checkpoint is used.
        config: config file of the training; required for published checkpoints. Default: the config
            stored in the checkpoint, which is read as data: no code in it is run.
        network: ``teacher`` (if the method has one), ``student`` or ``mic_teacher``.
        device: e.g. ``cpu`` or ``cuda:1``; default: the first GPU, else the CPU.

    Raises:
        UserError: no such file, no such network in it, no config, or another architecture.
    """
    path = Path(checkpoint)
    if path.is_dir():
        path, content = newest_checkpoint(training_folder(path))
    else:
        content = {} if config else load_checkpoint(path)
    settings = load_config(config) if config else config_in(content, path)
    segmentor = build_segmentor(settings, str(path), network, device or get_device())
    return Model(segmentor, settings)
