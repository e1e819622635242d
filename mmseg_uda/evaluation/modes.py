"""Ways to test a network that differ from its config's: windows, outputs of HRDA, augmentation."""

from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample

from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import without

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


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


def augmented_pipeline(
    pipeline: list[dict[str, Any]], labels: bool, size_divisor: int = 1
) -> list[dict[str, Any]]:
    """A test pipeline that gives every image in all scales and flips, for ``AugmentedSegmentor``.

    Args:
        labels: whether it goes on loading labels, which stay as they are.
        size_divisor: sides of the images become multiples of it, by rounding up.
    """
    resize = next((step for step in pipeline if step['type'] == 'Resize'), None)
    if resize is None:
        sizes = [dict(type='Resize', scale_factor=scale, keep_ratio=True) for scale in SCALES]
    else:
        sizes = [
            dict(resize, scale=tuple(int(side * scale) for side in resize['scale']))
            for scale in SCALES
        ]
    fit = [[dict(type='ResizeToMultiple', size_divisor=size_divisor)]] if size_divisor > 1 else []
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    load = [step for step in pipeline if step['type'] == 'LoadImageFromFile']
    unused = [] if labels else ['LoadAnnotations']
    rest = without(pipeline, 'LoadImageFromFile', 'Resize', *unused)
    transforms = [sizes, *fit, flips, *([step] for step in rest)]
    return [*load, dict(type='TestTimeAug', transforms=transforms)]


class AugmentedSegmentor:
    """Predicts by the mean of the class probabilities over the views of ``TestTimeAug``."""

    def __init__(self, segmentor: BaseSegmentor) -> None:
        self.segmentor = segmentor

    def test_step(self, batch: dict[str, list[Any]]) -> list[SegDataSample]:
        """Views of a batch -> its samples with ``pred_sem_seg`` (1, H, W), at original size."""
        totals: list = []
        for inputs, data_samples in zip(batch['inputs'], batch['data_samples'], strict=True):
            view = dict(inputs=list(inputs), data_samples=list(data_samples))
            samples = self.segmentor.test_step(view)
            scores = [sample.seg_logits.data for sample in samples]
            if self.segmentor.test_class_weight is None:  # else they are weighted probabilities
                scores = [score.softmax(dim=0) for score in scores]
            totals = [a + b for a, b in zip(totals, scores, strict=True)] if totals else scores
        for sample, total in zip(samples, totals, strict=True):
            sample.pred_sem_seg = PixelData(data=total.argmax(dim=0, keepdim=True))
        return samples
