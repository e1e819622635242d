"""AdvEnt: adversarial adaptation of entropy maps (ADVENT, Vu et al., CVPR 2019)."""

from collections.abc import Mapping
from math import log2

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.uda.methods.advseg import AdvSeg
from mmseg_uda.uda.methods.minent import self_information


def information_map(probabilities: Tensor) -> Tensor:
    """``-p_c log p_c / log C`` of class probabilities (B, C, H, W), in the same shape."""
    return self_information(probabilities) / log2(probabilities.shape[1])


@MODELS.register_module()
class AdvEnt(AdvSeg):
    """Aligns the entropy of target and source predictions adversarially.

    As :class:`AdvSeg`, but the discriminators see ``I_c = -p_c log p_c / log C`` instead of the
    probabilities p_c of the C classes.

    Args:
        discriminator_loss: 'bce' (logistic, published) or 'mse' (least squares).
        weight: of the student's adversarial loss (lambda_adv), see :class:`AdvSeg`; published:
            ``dict(main=1e-3, aux=2e-4)``.
        options: of :class:`AdvSeg`.

    Raises:
        UserError: for an unknown loss or level.
    """

    def __init__(
        self,
        discriminator_loss: str = 'bce',
        weight: float | Mapping[str, float] = 0.001,
        **options,
    ) -> None:
        super().__init__(discriminator_loss, weight, **options)

    def prediction(self, logits: Tensor, images: Tensor) -> Tensor:
        """Information maps (B, C, h, w) at the size of the discriminators' input.

        Args:
            logits: (B, C, h', w') of ``images`` (B, 3, H, W).
        """
        return information_map(super().prediction(logits, images))
