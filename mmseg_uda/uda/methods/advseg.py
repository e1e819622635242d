"""AdvSeg: adversarial adaptation in output space (AdaptSegNet, Tsai et al., CVPR 2018)."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.errors import UserError
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.method import Losses, UDAMethod

SOURCE, TARGET = 0.0, 1.0  # the labels of the domains
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'mse': F.mse_loss,
    'bce': F.binary_cross_entropy_with_logits,
}


def domain_loss(scores: Tensor, label: float, kind: str) -> Tensor:
    """Mean squared error ('mse') or logistic loss ('bce') of scores (B, 1, h, w) of one domain."""
    scores = at_least_float32(scores)
    return LOSSES[kind](scores, torch.full_like(scores, label))


@MODELS.register_module()
class AdvSeg(UDAMethod):
    """Makes predictions on target images look to a discriminator like those on source images.

    A step: learn from the source labels; move the target's class probabilities to where the
    discriminator takes them for the source's; teach the discriminator both. One prediction per
    image, as the single-level variant of the paper.

    The discriminator has an optimiser of its own (``JointOptimWrapperConstructor``).

    Args:
        discriminator_loss: 'mse' (least squares) or 'bce' (logistic).
        weight: of the loss that moves the target's predictions (lambda_adv).
        scale: side of the discriminator's input over that of the image; published: 0.5 for HRDA.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: for an unknown loss.
    """

    def __init__(
        self,
        discriminator_loss: str = 'mse',
        weight: float = 0.001,
        scale: float = 1.0,
        **options,
    ) -> None:
        super().__init__(**options)
        if discriminator_loss not in LOSSES:
            raise UserError(
                f'AdvSeg: discriminator_loss {discriminator_loss!r} must be one of '
                f'{", ".join(LOSSES)}'
            )
        self.discriminator_loss = discriminator_loss
        self.weight = weight
        self.scale = scale
        self.discriminator = Discriminator(self.student.num_classes)

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)

        # Learn from the source labels.
        supervision = self.supervise_source(step)
        source = self.prediction(supervision.logits.detach(), batch.source.images)
        losses = supervision.losses
        del supervision
        yield losses
        del losses

        # Move the target's predictions to where the discriminator takes them for the source's.
        logits = self.student.training_logits(batch.target.images)
        target = self.prediction(logits, batch.target.images)
        self.discriminator.requires_grad_(False)
        yield {'G_trg.loss.main': self.weight * self.judge(target, SOURCE)}
        self.discriminator.requires_grad_(True)
        target = target.detach()
        del logits

        yield from self.further_passes(step)

        # Teach the discriminator which is which.
        yield {
            'D_src.loss.main': 0.5 * self.judge(source, SOURCE),
            'D_trg.loss.main': 0.5 * self.judge(target, TARGET),
        }

    def prediction(self, logits: Tensor, images: Tensor) -> Tensor:
        """Logits of ``images`` as the discriminator sees them: probabilities (B, C, h, w)."""
        size = tuple(int(self.scale * side) for side in images.shape[2:])
        return upscale(logits, size).softmax(dim=1)

    def judge(self, prediction: Tensor, label: float) -> Tensor:
        """The discriminator's loss on predictions (B, C, h, w) if their domain is ``label``."""
        return domain_loss(self.discriminator(prediction), label, self.discriminator_loss)
