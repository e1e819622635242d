"""AdvSeg: adversarial adaptation in output space (AdaptSegNet, Tsai et al., CVPR 2018)."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.errors import UserError
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step

SOURCE, TARGET = 0.0, 1.0  # domain labels
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'mse': F.mse_loss,
    'bce': F.binary_cross_entropy_with_logits,
}


def domain_loss(scores: Tensor, label: float, kind: str) -> Tensor:
    """Mean squared error ('mse') or logistic loss ('bce') of discriminator scores, 0-dimensional.

    Args:
        scores: (B, 1, h, w).
        label: of the domain.
    """
    scores = at_least_float32(scores)
    return LOSSES[kind](scores, torch.full_like(scores, label))


@MODELS.register_module()
class AdvSeg(UDAMethod):
    """Aligns target and source predictions adversarially (the single-level variant).

    A step: supervised training on the source; the student is trained so that the discriminator D
    takes its target predictions P_t for source predictions; D is trained to tell them apart::

        loss of the student = CE(f(x_s), y_s) + weight * l(D(P_t), source)
        loss of D = (l(D(P_s), source) + l(D(P_t), target)) / 2

    The discriminator has an optimiser of its own (``JointOptimWrapperConstructor``).

    Args:
        discriminator_loss: 'mse' (least squares) or 'bce' (logistic).
        weight: of the student's adversarial loss (lambda_adv).
        scale: size of the discriminator's input relative to the image; published: 0.5 for HRDA.
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

    def passes(self, step: Step) -> Iterator[Losses]:
        predictions: dict[float, Tensor] = {}
        yield self.learn_source(step, predictions)
        yield self.fool_discriminator(step, predictions)
        yield from self.further_passes(step)
        yield {
            'D_src.loss.main': 0.5 * self.judge(predictions[SOURCE], SOURCE),
            'D_trg.loss.main': 0.5 * self.judge(predictions[TARGET], TARGET),
        }

    def learn_source(self, step: Step, predictions: dict[float, Tensor]) -> Losses:
        """The source losses; adds the detached source predictions to ``predictions``."""
        supervision = self.supervise_source(step)
        images = step.batch.source.images
        predictions[SOURCE] = self.prediction(supervision.logits.detach(), images)
        return supervision.losses

    def fool_discriminator(self, step: Step, predictions: dict[float, Tensor]) -> Losses:
        """The adversarial loss of the target predictions, which are added to ``predictions``."""
        images = step.batch.target.images
        target = self.student.train_pass(images)
        prediction = self.prediction(target.logits, images)
        predictions[TARGET] = prediction.detach()
        losses = {'G_trg.loss.main': self.weight * self.judge(prediction, SOURCE, frozen=True)}
        return losses | self.target_losses(step, target)

    def prediction(self, logits: Tensor, images: Tensor) -> Tensor:
        """Class probabilities (B, C, h, w) at the size of the discriminator's input.

        Args:
            logits: (B, C, h', w') of ``images`` (B, 3, H, W).
        """
        size = tuple(int(self.scale * side) for side in images.shape[2:])
        return upscale(logits, size).softmax(dim=1)

    def judge(self, prediction: Tensor, label: float, frozen: bool = False) -> Tensor:
        """The discriminator's loss if the domain of predictions (B, C, h, w) is ``label``.

        Args:
            frozen: no gradients for the discriminator.
        """
        self.discriminator.requires_grad_(not frozen)
        return domain_loss(self.discriminator(prediction), label, self.discriminator_loss)
