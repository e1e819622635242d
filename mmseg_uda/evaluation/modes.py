"""Changes of a config for a test: whole images or windows, and HRDA's outputs."""

from mmengine.config import Config, ConfigDict

from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.errors import UserError

KEPT = 'batched_slide', 'class_weight', 'level_factors', 'probabilities'
"""Options of ``test_cfg`` that do not depend on the mode."""


def set_inference_mode(config: Config, mode: str) -> None:
    """Make a config test on whole images, or on windows as large as the training crop.

    Args:
        mode: ``same`` does not change the config; ``whole``; ``slide``: windows overlap by half.

    Raises:
        UserError: ``slide``, but the config has no training crop.
    """
    if mode == 'same':
        return
    old = config.model.segmentor.get('test_cfg') or {}
    test_cfg = {name: old[name] for name in KEPT if name in old}
    if mode == 'slide':
        crop_size = training_crop(config)
        test_cfg |= dict(crop_size=crop_size, stride=tuple(side // 2 for side in crop_size))
    config.model.segmentor.test_cfg = ConfigDict(test_cfg, mode=mode)


def training_crop(config: Config) -> tuple[int, int]:
    """(height, width) of the source crops that a config trains on.

    Raises:
        UserError: the config has no training crop.
    """
    crop_size = config.get('training_crop')  # of configs of mmseg 0.x
    source = config.get('train_dataloader', {}).get('dataset', {}).get('source') or ()
    for dataset in dataset_configs(source)[:1]:  # all give crops of the same size
        for step in dataset.get('pipeline', ()):
            crop_size = step.get('crop_size') or crop_size
    if not crop_size:
        raise UserError(
            f'config {config.filename}: --inference-mode slide uses the crop size of training, but '
            'the config has none: set model.segmentor.test_cfg in the config'
        )
    return tuple(crop_size)


def set_hrda_output(config: Config, output: str) -> None:
    """Make an HRDA network predict from one scale only, or output its scale attention.

    Args:
        output: ``LR`` (context), ``HR`` (detail) or ``ATT`` (attention).

    Raises:
        UserError: the config's network is not HRDA.
    """
    if config.model.segmentor.type != 'HRDASegmentor':
        raise UserError(
            f'config {config.filename}: --hrda-out is for HRDA, model.segmentor is a '
            f'{config.model.segmentor.type}'
        )
    config.model.segmentor.output = output
