"""FADA: adversarial adaptation of features, class by class (Wang et al., ECCV 2020)."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.models.discriminator import PixelDiscriminator
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.uda.method import Losses, UDAMethod

SOURCE, TARGET = 0, 1  # which half of the discriminator's channels


class Seen(NamedTuple):
    """Images of ``size`` (H, W): the last features (B, A, h, w), and the logits (B, C, h, w)."""

    features: Tensor
    logits: Tensor
    size: tuple[int, int]


def class_domain_loss(scores: Tensor, classes: Tensor, domain: int) -> Tensor:
    """Cross entropy (B, H, W) of scores with soft classes of one domain.

    Args:
        scores: (B, 2C, H, W), logits of the source's C classes, then of the target's.
        classes: (B, C, H, W), how much each class counts; the sum need not be 1.
        domain: ``SOURCE`` or ``TARGET``, to which the classes belong.
    """
    own = at_least_float32(scores).log_softmax(dim=1).chunk(2, dim=1)[domain]
    return -(classes * own).sum(dim=1)


@MODELS.register_module()
class ClassAdversarial(UDAMethod):
    """Makes target features look like those of the same class in the source to a discriminator.

    The discriminator says of each pixel's features which class of which domain they are. The class
    is what the student itself predicts, softly. A step: learn from the source labels; move the
    target's features to where the discriminator takes them for their class in the source; teach the
    discriminator both domains. No gradient goes through the predictions, so the classifier learns
    from the labels alone.

    Cross entropy and soft classes are of logits over the segmentor's ``temperature`` (published:
    1.8). The discriminator has an optimiser of its own (``JointOptimWrapperConstructor``).

    Args:
        weight: of the loss that moves the target's features (lambda_adv).
        cap: soft classes count at most so much.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).
    """

    def __init__(self, weight: float = 0.001, cap: float = 0.9, **options) -> None:
        super().__init__(**options)
        self.weight = weight
        self.cap = cap
        student = self.student
        self.discriminator = PixelDiscriminator(student.feature_channels, student.num_classes)

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)

        # Learn from the source labels.
        supervision = self.supervise_source(step)
        features, logits = supervision.features[-1], supervision.logits
        source = Seen(features.detach(), logits.detach(), batch.source.images.shape[2:])
        losses = supervision.losses
        del supervision, features, logits
        yield losses
        del losses

        # Move the target's features to where the discriminator takes them for the source's.
        features = self.student.features(batch.target.images)
        with torch.no_grad():
            logits = self.student.decode(features)
        target = Seen(features[-1], logits, batch.target.images.shape[2:])
        self.discriminator.requires_grad_(False)
        yield {'G_trg.loss': self.weight * self.judge(target, SOURCE)}
        self.discriminator.requires_grad_(True)
        target = target._replace(features=target.features.detach())
        del features

        yield from self.further_passes(step)

        # Teach the discriminator which class of which domain it sees.
        yield {'D_src.loss': 0.5 * self.judge(source, SOURCE)}
        yield {'D_trg.loss': 0.5 * self.judge(target, TARGET)}

    def judge(self, seen: Seen, domain: int) -> Tensor:
        """The discriminator's loss if what is seen, class by class, is of ``domain``."""
        classes = self.student.softened(seen.logits, seen.size).softmax(dim=1).clamp(max=self.cap)
        scores = self.discriminator(seen.features)
        scores = upscale(scores, seen.size, self.student.align_corners)
        return class_domain_loss(scores, classes, domain).mean()
