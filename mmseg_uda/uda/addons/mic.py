"""MIC: masked image consistency (Hoyer et al., CVPR 2023)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import AddOn
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.components.strong_augmentation import StrongAugmentation
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.method import prefixed
from mmseg_uda.uda.step import Labelled, Losses, Step

MODES = ('separate', 'separatesrc', 'separatetrg')
STREAM = 3  # of random draws; SePiCo uses those below


def block_grid(size: tuple[int, int], block_size: int) -> tuple[int, int]:
    """Number of blocks (rows, columns) of an image of ``size`` (H, W), at least 1 each.

    >>> block_grid((128, 256), 64)
    (2, 4)
    """
    return tuple(max(round(side / block_size), 1) for side in size)


def block_mask(grids: Tensor, ratio: float, size: tuple[int, int]) -> Tensor:
    """Mask that keeps blocks (1) whose random number exceeds ``ratio`` and blanks the others (0).

    Args:
        grids: (B, 1, h, w), a number in [0, 1) per block.
        ratio: with uniform numbers the expected share of masked blocks.
        size: (H, W) of the mask.

    Returns:
        (B, 1, H, W).
    """
    return F.interpolate((grids > ratio).to(grids.dtype), size=tuple(size), mode='nearest')


@MODELS.register_module()
class MaskedConsistency(AddOn):
    """One more student pass: predictions on masked images must agree with pseudo-labels.

    ``loss = weight * mean(w CE(f(M x), y))`` with a random block mask M, pseudo-labels y and their
    weights w. Masked pixels are 0 in the normalised image, the mean colour. The pseudo-labels of
    target images are those of a teacher that sees the whole image: the host's, with its weights, if
    ``alpha`` and ``threshold`` are 'same'; otherwise those of a teacher of its own, corrected and
    masked by the other add-ons. In a host that does not train on target images (``SourceOnly``)
    source images are masked, in every mode.

    Args:
        mode: which images are masked. 'separatetrg': all target images. 'separatesrc': all source
            images. 'separate': of every two images of the batch the first source and the first
            target image. With the suffix 'aug', images are strongly augmented before.
        block_size: side of a block in pixels: published 64 for crops of 1024, 32 for 512.
        ratio: share of masked blocks.
        weight: of all losses of this pass (lambda_M).
        alpha: upper limit of the own teacher's EMA momentum; 'same': as the host's.
        threshold: probability from which a pseudo-label of the own teacher counts as confident;
            'same': as the host's; ``None``: every pixel weighs 1.
        jitter_strength, jitter_threshold, blur: see :class:`StrongAugmentation`.

    Raises:
        UserError: for an unknown mode; at the first step for 'same' in a host that makes no
            pseudo-labels and for 'separate' with an odd number of images per process.
    """

    def __init__(
        self,
        mode: str = 'separatetrgaug',
        block_size: int = 64,
        ratio: float = 0.7,
        weight: float = 1.0,
        alpha: float | Literal['same'] = 'same',
        threshold: float | Literal['same'] | None = 'same',
        jitter_strength: float = 0.2,
        jitter_threshold: float = 0.2,
        blur: bool = True,
    ) -> None:
        super().__init__()
        self.mode = mode.removesuffix('aug')
        if self.mode not in MODES:
            raise UserError(
                f'MaskedConsistency: mode {mode!r} must be one of {", ".join(MODES)}, each '
                "with or without 'aug' at its end"
            )
        self.augmentation = None
        if mode.endswith('aug'):
            self.augmentation = StrongAugmentation(
                jitter_strength, jitter_threshold, blur, per_image=False, stream=STREAM
            )
        self.block_size = block_size
        self.ratio = ratio
        self.weight = weight
        self.alpha = alpha
        self.threshold = threshold
        self.teacher: Teacher | None = None

    def set_up(self, student: nn.Module) -> None:
        shared = self.alpha == 'same' and self.threshold == 'same'
        if self.mode != 'separatesrc' and not shared:
            self.teacher = Teacher(student)

    def after_init(self, student: nn.Module) -> None:
        if self.teacher is not None:
            self.teacher.follow(student)

    @property
    def makes_pseudo_labels(self) -> bool:
        return self.teacher is not None

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.masked_pass(step)

    def masked_pass(self, step: Step) -> Losses:
        """The weighted losses on masked images."""
        chosen = self.choose_images(step)
        images = chosen.images
        if self.augmentation is not None:
            images = self.augmentation(images, step.draws, step.mean, step.std)
        images = images * self.random_mask(images, step)
        losses = step.student.supervise(images, chosen.labels, chosen.weight).losses
        return {
            name: self.weight * value if 'loss' in name else value
            for name, value in prefixed(losses, 'masked.').items()
        }

    def choose_images(self, step: Step) -> Labelled:
        """The images to mask, with labels and weights, as ``mode`` selects them."""
        source, target = step.batch.source, step.batch.target
        if not step.trains_on_target or self.mode == 'separatesrc':
            return Labelled(source.images, source.labels)
        pseudo = self.pseudo_labels(step)
        if self.mode == 'separatetrg':
            return Labelled(target.images, pseudo.labels, pseudo.weight)
        if len(source.images) % 2:
            raise UserError(
                "MaskedConsistency: mode 'separate' masks one source and one target image of every "
                f'two, but a process has a batch of {len(source.images)}: set '
                'train_dataloader.batch_size to an even number'
            )

        def pairs(ours: Tensor, theirs: Tensor) -> Tensor:
            return torch.stack((ours[::2], theirs[::2]), dim=1).flatten(0, 1)

        return Labelled(
            pairs(source.images, target.images),
            pairs(source.labels, pseudo.labels),
            pairs(torch.ones_like(pseudo.weight), pseudo.weight),
        )

    def pseudo_labels(self, step: Step) -> PseudoLabels:
        """The host's pseudo-labels of the target images, or those of the own teacher."""
        if self.teacher is None and step.pseudo is not None:
            return step.pseudo
        host, own = step.teacher, self.teacher
        if host is None and 'same' in (self.alpha, self.threshold):
            raise UserError(
                "MaskedConsistency: alpha and threshold cannot be the 'same' as those of a method "
                'that makes no pseudo-labels of target images: give numbers (published: 0.999 and '
                '0.968)'
            )
        own.alpha = host.alpha if self.alpha == 'same' else self.alpha
        own.threshold = host.threshold if self.threshold == 'same' else self.threshold
        own.update(step.student, step.iteration)
        return replace(step, teacher=own).label_target()

    def random_mask(self, images: Tensor, step: Step) -> Tensor:
        """A random mask (B, 1, H, W) for ``images`` (B, 3, H, W)."""
        size = images.shape[2:]
        grids = step.draws.block_grids(block_grid(size, self.block_size))
        return block_mask(grids.to(images.device, non_blocking=True), self.ratio, size)
