"""Changes of a config for a test: whole images or windows, and HRDA's outputs."""

from mmengine.config import Config, ConfigDict

from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.errors import UserError


def set_inference_mode(config: Config, mode: str) -> None:
    """Let a config test on whole images or on windows of the training crop's size.

    Args:
        mode: 'same' leaves the config as it is; 'whole'; 'slide': windows overlap by half.

    Raises:
        UserError: 'slide', and the config has no training crop.
    """
    if mode == 'same':
        return
    old = config.model.segmentor.get('test_cfg') or {}
    test_cfg = {name: old[name] for name in ('class_weight', 'batched_slide') if name in old}
    if mode == 'slide':
        crop_size = training_crop(config)
        test_cfg |= dict(crop_size=crop_size, stride=tuple(side // 2 for side in crop_size))
    config.model.segmentor.test_cfg = ConfigDict(test_cfg, mode=mode)


def training_crop(config: Config) -> tuple[int, int]:
    """(height, width) of the source crops that a config trains on.

    Raises:
        UserError: it has none.
    """
    crop_size = config.get('training_crop')  # of configs of mmseg 0.x
    source = config.get('train_dataloader', {}).get('dataset', {}).get('source') or ()
    for dataset in dataset_configs(source)[:1]:  # all give crops of the same size
        for step in dataset.get('pipeline', ()):
            crop_size = step.get('crop_size') or crop_size
    if not crop_size:
        raise UserError(
            f'config {config.filename}: --inference-mode slide takes the crop size of training, '
            'of which there is none: set model.segmentor.test_cfg in the config'
        )
    return tuple(crop_size)


def set_hrda_output(config: Config, output: str) -> None:
    """Let an HRDA network predict by 'LR' or 'HR' alone, or show its attention ('ATT').

    Raises:
        UserError: the config's network is no HRDA.
    """
    if config.model.segmentor.type != 'HRDASegmentor':
        raise UserError(
            f'config {config.filename}: --hrda-out is for HRDA, model.segmentor is a '
            f'{config.model.segmentor.type}'
        )
    config.model.segmentor.output = output
