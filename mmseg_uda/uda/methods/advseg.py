"""AdvSeg: adversarial adaptation in output space (AdaptSegNet, Tsai et al., CVPR 2018)."""

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.models.forward_pass import Levels
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.components.levels import weights_of_levels
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
    """Aligns target and source predictions adversarially.

    A step: supervised training on the source; the student is trained so that the discriminator D
    takes its target predictions P_t for source predictions; D is trained to tell them apart::

        loss of the student = CE(f(x_s), y_s) + weight * l(D(P_t), source)
        loss of D = discriminator_weight * (l(D(P_s), source) + l(D(P_t), target))

    On a multi-level network the adversarial losses are those of several levels, each with a
    discriminator of its own. The discriminators have an optimiser of their own
    (``JointOptimWrapperConstructor``).

    Args:
        discriminator_loss: 'mse' (least squares) or 'bce' (logistic).
        weight: of the student's adversarial loss (lambda_adv), or a mapping from the levels of a
            multi-level network to their weights.
        scale: size of the discriminators' input relative to the image; published: 0.5 for HRDA.
        discriminator_weight: of the discriminators' losses; published: 0.5, in ProDA 1.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: for an unknown loss or level.
    """

    def __init__(
        self,
        discriminator_loss: str = 'mse',
        weight: float | Mapping[str, float] = 0.001,
        scale: float = 1.0,
        discriminator_weight: float = 0.5,
        **options,
    ) -> None:
        super().__init__(**options)
        name = type(self).__name__
        if discriminator_loss not in LOSSES:
            raise UserError(
                f'{name}: discriminator_loss {discriminator_loss!r} must be one of '
                f'{", ".join(LOSSES)}'
            )
        self.discriminator_loss = discriminator_loss
        self.weights = weights_of_levels(name, weight, self.student)
        self.scale = scale
        self.discriminator_weight = discriminator_weight
        self.discriminator = nn.ModuleDict(
            {level: Discriminator(self.student.num_classes) for level in self.weights}
        )

    def passes(self, step: Step) -> Iterator[Losses]:
        predictions: dict[float, Levels] = {}
        yield self.learn_source(step, predictions)
        yield self.fool_discriminator(step, predictions)
        yield from self.further_passes(step)
        yield {
            f'D_{name}.loss.{level}': self.discriminator_weight * self.judge(level, seen, domain)
            for name, domain in (('src', SOURCE), ('trg', TARGET))
            for level, seen in predictions[domain].items()
        }

    def learn_source(self, step: Step, predictions: dict[float, Levels]) -> Losses:
        """The source losses; adds the detached source predictions to ``predictions``."""
        supervision = self.supervise_source(step)
        images = step.batch.source.images
        predictions[SOURCE] = {
            level: self.prediction(supervision.levels[level].detach(), images)
            for level in self.weights
        }
        return supervision.losses

    def fool_discriminator(self, step: Step, predictions: dict[float, Levels]) -> Losses:
        """The adversarial losses of the target predictions, which are added to ``predictions``."""
        images = step.batch.target.images
        target = self.student.train_pass(images)
        predictions[TARGET], losses = {}, {}
        for level, weight in self.weights.items():
            prediction = self.prediction(target.levels[level], images)
            predictions[TARGET][level] = prediction.detach()
            adversarial = self.judge(level, prediction, SOURCE, frozen=True)
            losses[f'G_trg.loss.{level}'] = weight * adversarial
        return losses | self.target_losses(step, target)

    def prediction(self, logits: Tensor, images: Tensor) -> Tensor:
        """Class probabilities (B, C, h, w) at the size of the discriminators' input.

        Args:
            logits: (B, C, h', w') of ``images`` (B, 3, H, W).
        """
        size = tuple(int(self.scale * side) for side in images.shape[2:])
        return upscale(logits, size, self.student.align_corners).softmax(dim=1)

    def judge(self, level: str, prediction: Tensor, label: float, frozen: bool = False) -> Tensor:
        """A discriminator's loss if the domain of predictions (B, C, h, w) is ``label``.

        Args:
            level: of the predictions.
            frozen: no gradients for the discriminator.
        """
        discriminator = self.discriminator[level].requires_grad_(not frozen)
        return domain_loss(discriminator(prediction), label, self.discriminator_loss)
