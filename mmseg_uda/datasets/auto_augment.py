"""Colour policies of AutoAugment (Cubuk et al., CVPR 2019) for training images."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.datasets.image_operations import OPERATIONS

#: Operations whose amount is a change: the factor is 1 plus or minus it, with equal probability.
SIGNED = 'saturation', 'contrast', 'sharpness'


class Choice(NamedTuple):
    """An operation of a policy.

    Attributes:
        operation: key of :data:`OPERATIONS`.
        probability: of applying it.
        amount: its strength; None: the operation has none.
    """

    operation: str
    probability: float
    amount: float | None = None

    def apply(self, image: Image.Image) -> Image.Image:
        """Apply it to an RGB image, at random."""
        if random.random() >= self.probability:
            return image
        amount = self.amount
        if self.operation in SIGNED:
            amount = 1 + random.choice((-1, 1)) * amount
        return OPERATIONS[self.operation](image, amount)


Policy = tuple[Choice, Choice]


def _solarize(probability: float, level: int) -> Choice:
    """Solarize with a threshold of 256 at level 0 to 0 at level 9."""
    return Choice('solarize', probability, float(np.linspace(256, 0, 10)[level]))


def _change(operation: str, probability: float, level: int) -> Choice:
    """Change saturation, contrast or sharpness by 0 at level 0 to 0.9 at level 9."""
    return Choice(operation, probability, float(np.linspace(0, 0.9, 10)[level]))


def _equalize(probability: float) -> Choice:
    return Choice('equalize', probability)


#: The policies of Seg-Uncertainty and of CaCo's fine-tuning: those of ImageNet without geometry.
#: Policies that occur twice are drawn twice as often.
POLICIES: tuple[Policy, ...] = (
    (_solarize(0.6, 5), Choice('autocontrast', 0.6)),
    (_equalize(0.8), _equalize(0.6)),
    (Choice('posterize', 0.6, 5), Choice('posterize', 0.6, 5)),
    (_equalize(0.4), _solarize(0.2, 4)),
    (_solarize(0.6, 3), _equalize(0.6)),
    (Choice('posterize', 0.8, 6), _equalize(1.0)),
    (_equalize(0.6), Choice('posterize', 0.4, 5)),
    (_equalize(0.0), _equalize(0.8)),
    (Choice('invert', 0.6), _equalize(1.0)),
    (_change('saturation', 0.6, 4), _change('contrast', 1.0, 8)),
    (_change('saturation', 0.8, 8), _solarize(0.8, 7)),
    (_change('sharpness', 0.4, 7), Choice('invert', 0.6)),
    (_change('saturation', 0.4, 0), _equalize(0.6)),
    (_equalize(0.4), _solarize(0.2, 4)),
    (_solarize(0.6, 5), Choice('autocontrast', 0.6)),
    (Choice('invert', 0.6), _equalize(1.0)),
    (_change('saturation', 0.6, 4), _change('contrast', 1.0, 8)),
    (_equalize(0.8), _equalize(0.6)),
)


@TRANSFORMS.register_module()
class AutoAugment(BaseTransform):
    """Apply one of 18 colour policies, each of two operations, to every image.

    The policy, whether each operation is applied, and its direction are drawn from Python's
    generator. Images are 8-bit at every step, as in Pillow.
    """

    policies: Sequence[Policy] = POLICIES

    def transform(self, results: dict) -> dict:
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        for choice in random.choice(self.policies):
            image = choice.apply(image)
        results['img'] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        return results
