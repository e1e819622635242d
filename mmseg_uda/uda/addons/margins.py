"""Masks of target regions whose pseudo-labels cannot be trusted, e.g. the ego vehicle."""

from collections.abc import Iterator

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.uda.addon import AddOn, TrainingData
from mmseg_uda.uda.components.pseudo_labels import ignore_margins
from mmseg_uda.uda.step import Step


@MODELS.register_module()
class IgnoreMargins(AddOn):
    """Weight 0 for rows of the *crop* (DAFormer); for crops that are as high as the image.

    Args:
        top, bottom: number of rows to ignore.
    """

    needs_pseudo_labels = True

    def __init__(self, top: int, bottom: int) -> None:
        super().__init__()
        self.top, self.bottom = top, bottom

    def problems(self, data: TrainingData) -> Iterator[str]:
        if data.target_size is not None and self.top + self.bottom >= data.target_size[0]:
            yield (
                f'IgnoreMargins ignores {self.top} rows at the top and {self.bottom} at the '
                f'bottom, which is all of a target crop of {data.target_size[0]} rows: set smaller '
                'ones, or model.addons.margins=None'
            )

    def mask(self, step: Step, weight: Tensor) -> Tensor:
        return ignore_margins(weight, self.top, self.bottom)


@MODELS.register_module()
class ValidRegion(AddOn):
    """Weight 0 outside the valid region of the data pipeline (HRDA, MIC).

    The region is defined at the image's native size, and cropped and flipped with the image
    (``LabelFirstCrop(margins=...)``).
    """

    needs_pseudo_labels = True

    def problems(self, data: TrainingData) -> Iterator[str]:
        if data.target_size is not None and 'valid' not in data.sample['target']:
            yield (
                'ValidRegion needs the valid region of target images: set margins in their '
                'LabelFirstCrop, or model.addons.margins=None'
            )

    def mask(self, step: Step, weight: Tensor) -> Tensor:
        return weight * step.batch.target.valid
