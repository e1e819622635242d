"""Where pseudo-labels are not to be trusted: image margins that show the camera's own car."""

from dataclasses import replace

from mmseg.registry import MODELS

from mmseg_uda.uda.components.pseudo_labels import PseudoLabels, ignore_margins
from mmseg_uda.uda.parts import Part, Step


@MODELS.register_module()
class IgnoreMargins(Part):
    """Weight 0 for rows of the *crop* (DAFormer; right only when a crop is as high as the image).

    Args:
        top, bottom: rows to ignore, in pixels.
    """

    def __init__(self, top: int, bottom: int) -> None:
        super().__init__()
        self.top, self.bottom = top, bottom

    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        return replace(pseudo, weight=ignore_margins(pseudo.weight, self.top, self.bottom))


@MODELS.register_module()
class ValidRegion(Part):
    """Weight 0 outside the region that the data pipeline marks as valid (HRDA, MIC).

    The mask is made at the image's native size and cropped and flipped with it
    (``LabelFirstCrop(margins=...)``).
    """

    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        return replace(pseudo, weight=pseudo.weight * step.batch.target.valid)
