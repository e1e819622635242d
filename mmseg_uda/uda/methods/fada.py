"""FADA: class-wise adversarial adaptation of features (Wang et al., ECCV 2020)."""

from collections.abc import Iterator
from typing import NamedTuple

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.discriminator import PixelDiscriminator
from mmseg_uda.models.forward_pass import ForwardPass
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step

SOURCE, TARGET = 0, 1  # which half of the discriminator's channels


class Seen(NamedTuple):
    """What the discriminator sees of images of ``size`` (H, W).

    Attributes:
        features: the last ones, (B, A, h, w).
        logits: (B, C, h, w), without gradient.
    """

    features: Tensor
    logits: Tensor
    size: tuple[int, int]


def class_domain_loss(scores: Tensor, classes: Tensor, domain: int) -> Tensor:
    """Cross entropy (B, H, W) of discriminator scores with soft class labels of one domain.

    Args:
        scores: (B, 2C, H, W), logits of the source's C classes, then of the target's.
        classes: (B, C, H, W), soft labels; their sum need not be 1.
        domain: ``SOURCE`` or ``TARGET``.
    """
    own = at_least_float32(scores).log_softmax(dim=1).chunk(2, dim=1)[domain]
    return -(classes * own).sum(dim=1)


@MODELS.register_module()
class ClassAdversarial(UDAMethod):
    """Aligns target features with same-class source features through a discriminator.

    For each pixel's features the discriminator D predicts class c and domain d. A step: supervised
    training on the source; the student is trained so that D takes target features for source
    features of their class; D is trained on both domains::

        loss of the student = CE(f(x_s), y_s) + weight * mean(-sum_c a_c log D(source, c | z_t))
        loss of D = (mean(-sum_c a_c log D(source, c | z_s)) + same for the target) / 2

    with features z and soft labels a = min(softmax(logits), cap), the student's own predictions. No
    gradient goes through the soft labels, so the classifier learns from the source labels alone.

    Cross entropy and soft labels use logits over the segmentor's ``temperature`` (published: 1.8).
    The discriminator has an optimiser of its own (``JointOptimWrapperConstructor``).

    Args:
        weight: of the student's adversarial loss (lambda_adv).
        cap: upper limit of a soft label.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).
    """

    def __init__(self, weight: float = 0.001, cap: float = 0.9, **options) -> None:
        super().__init__(**options)
        self.weight = weight
        self.cap = cap
        student = self.student
        self.discriminator = PixelDiscriminator(student.feature_channels, student.num_classes)

    def passes(self, step: Step) -> Iterator[Losses]:
        seen: dict[int, Seen] = {}
        yield self.learn_source(step, seen)
        yield self.fool_discriminator(step, seen)
        yield from self.further_passes(step)
        yield {'D_src.loss': 0.5 * self.judge(seen[SOURCE], SOURCE)}
        yield {'D_trg.loss': 0.5 * self.judge(seen[TARGET], TARGET)}

    def learn_source(self, step: Step, seen: dict[int, Seen]) -> Losses:
        """The source losses; adds the detached source features to ``seen``."""
        supervision = self.supervise_source(step)
        seen[SOURCE] = detached(supervision, step.batch.source.images)
        return supervision.losses

    def fool_discriminator(self, step: Step, seen: dict[int, Seen]) -> Losses:
        """The adversarial loss of the target features, which are added to ``seen``."""
        images = step.batch.target.images
        target = self.student.whole_pass(images)
        seen[TARGET] = detached(target, images)
        attached = seen[TARGET]._replace(features=target.features[-1])
        losses = {'G_trg.loss': self.weight * self.judge(attached, SOURCE, frozen=True)}
        return losses | self.target_losses(step, target)

    def judge(self, seen: Seen, domain: int, frozen: bool = False) -> Tensor:
        """The discriminator's mean loss if all that is seen is of ``domain``, 0-dimensional.

        Args:
            frozen: no gradients for the discriminator.
        """
        student = self.student
        self.discriminator.requires_grad_(not frozen)
        logits = at_least_float32(seen.logits) / student.temperature
        logits = upscale(logits, seen.size, student.align_corners)
        classes = logits.softmax(dim=1).clamp(max=self.cap)
        scores = self.discriminator(seen.features)
        scores = upscale(scores, seen.size, student.align_corners)
        return class_domain_loss(scores, classes, domain).mean()


def detached(forward: ForwardPass, images: Tensor) -> Seen:
    """What a pass on ``images`` (B, 3, H, W) gave, without gradients."""
    return Seen(forward.features[-1].detach(), forward.logits.detach(), images.shape[2:])
