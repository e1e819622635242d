"""Where pseudo-labels are not to be trusted: image margins that show the camera's own car."""

from collections.abc import Iterator
from dataclasses import replace

from mmseg.registry import MODELS

from mmseg_uda.uda.addon import AddOn, Step, TrainingData
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels, ignore_margins


@MODELS.register_module()
class IgnoreMargins(AddOn):
    """Weight 0 for rows of the *crop* (DAFormer; right only when a crop is as high as the image).

    Args:
        top, bottom: rows to ignore, in pixels.
    """

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

    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        return replace(pseudo, weight=ignore_margins(pseudo.weight, self.top, self.bottom))


@MODELS.register_module()
class ValidRegion(AddOn):
    """Weight 0 outside the region that the data pipeline marks as valid (HRDA, MIC).

    The mask is made at the image's native size and cropped and flipped with it
    (``LabelFirstCrop(margins=...)``).
    """

    def problems(self, data: TrainingData) -> Iterator[str]:
        if data.target_size is not None and 'valid' not in data.sample['target']:
            yield (
                'ValidRegion needs the valid region of target images: set margins in their '
                'LabelFirstCrop, or model.addons.margins=None'
            )

    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        return replace(pseudo, weight=pseudo.weight * step.batch.target.valid)
