"""MIC: masked image consistency (Hoyer et al., CVPR 2023)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import AddOn, Losses, Mixed, Step
from mmseg_uda.uda.components.augmentation import gaussian_blur, jitter_normalised
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.method import prefixed

MODES = ('separate', 'separatesrc', 'separatetrg')
STREAM = 3  # of random draws; those below are SePiCo's


def block_grid(size: tuple[int, int], block_size: int) -> tuple[int, int]:
    """Blocks (rows, columns) of an image of ``size`` (H, W), rounded half to even, at least 1."""
    return tuple(max(round(side / block_size), 1) for side in size)


def block_mask(grids: Tensor, ratio: float, size: tuple[int, int]) -> Tensor:
    """Mask (B, 1, H, W), 1 = keep: blocks whose number in ``grids`` (B, 1, h, w) exceeds ``ratio``.

    With numbers U(0, 1) the expected share of masked blocks is ``ratio``.
    """
    return F.interpolate((grids > ratio).to(grids.dtype), size=tuple(size), mode='nearest')


@MODELS.register_module()
class MaskedConsistency(AddOn):
    """One more student pass: images with most blocks blanked out must be labelled as if whole.

    Masked pixels are 0 in the normalised image, the mean colour. On target images the labels are
    those of a teacher that sees everything: the host's, with its pseudo-labels and weights, if
    ``alpha`` and ``threshold`` are 'same'; otherwise a teacher of its own, whose labels the other
    add-ons refine too (margins). A host without target images (``SourceOnly``) gets its source
    images masked, in every mode.

    Args:
        mode: what to mask. 'separatetrg': all target images. 'separatesrc': all source images.
            'separate': of every two images of the batch the first one's source and target image.
            With 'aug' at its end, colour jitter and blur come first, each when its own trigger
            says so, in one order and with one sigma for the batch.
        block_size: side of a block in pixels: published 64 for crops of 1024, 32 for 512.
        ratio: share of masked blocks.
        weight: of all losses of this pass (lambda_M).
        alpha: upper limit of the own teacher's EMA momentum; 'same': as the host's.
        threshold: probability from which a pseudo-label of the own teacher counts as confident;
            'same': as the host's; ``None``: every pixel weighs 1.
        jitter_strength, jitter_threshold, blur: see :class:`SelfTraining`.

    Raises:
        UserError: for an unknown mode; at the first step for 'same' in a host without a teacher
            and for 'separate' with an odd number of images per process.
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
        self.augmented = mode.endswith('aug')
        if self.mode not in MODES:
            raise UserError(
                f'MaskedConsistency: mode {mode!r} must be one of {", ".join(MODES)}, each '
                "with or without 'aug' at its end"
            )
        self.block_size = block_size
        self.ratio = ratio
        self.weight = weight
        self.alpha = alpha
        self.threshold = threshold
        self.jitter_strength = jitter_strength
        self.jitter_threshold = jitter_threshold
        self.blur = blur
        self.teacher: Teacher | None = None

    def set_up(self, student: nn.Module) -> None:
        shared = self.alpha == 'same' and self.threshold == 'same'
        if self.mode != 'separatesrc' and not shared:
            self.teacher = Teacher(student)

    def after_init(self, student: nn.Module) -> None:
        if self.teacher is not None:
            self.teacher.network.load_state_dict(student.state_dict())

    def passes(self, step: Step) -> Iterator[Losses]:
        masked = self.choose_images(step)
        images = self.augment(masked.images, step) if self.augmented else masked.images
        images = images * self.draw_mask(images, step)
        losses = step.student.supervise(images, masked.labels, masked.weight).losses
        yield {
            name: self.weight * value if 'loss' in name else value
            for name, value in prefixed(losses, 'masked.').items()
        }

    def choose_images(self, step: Step) -> Mixed:
        """The images to mask, with their labels and weights, as ``mode`` says."""
        source, target = step.batch.source, step.batch.target
        if target is None or self.mode == 'separatesrc':
            return Mixed(source.images, source.labels, None)
        pseudo = self.pseudo_labels(step)
        if self.mode == 'separatetrg':
            return Mixed(target.images, pseudo.labels, pseudo.weight)
        if len(source.images) % 2:
            raise UserError(
                "MaskedConsistency: mode 'separate' masks one source and one target image of every "
                f'two, but a process has a batch of {len(source.images)}: set '
                'train_dataloader.batch_size to an even number'
            )

        def pairs(ours: Tensor, theirs: Tensor) -> Tensor:
            return torch.stack((ours[::2], theirs[::2]), dim=1).flatten(0, 1)

        return Mixed(
            pairs(source.images, target.images),
            pairs(source.labels, pseudo.labels),
            pairs(torch.ones_like(pseudo.weight), pseudo.weight),
        )

    def pseudo_labels(self, step: Step) -> PseudoLabels:
        """The host's pseudo-labels of the target images, or those of the own teacher."""
        if self.teacher is None and step.pseudo is not None:
            return step.pseudo
        if step.teacher is None and 'same' in (self.alpha, self.threshold):
            raise UserError(
                "MaskedConsistency: alpha and threshold cannot be the 'same' as those of a method "
                'that has no teacher: give numbers (published: 0.999 and 0.968)'
            )
        own = self.teacher
        own.alpha = step.teacher.alpha if self.alpha == 'same' else self.alpha
        own.threshold = step.teacher.threshold if self.threshold == 'same' else self.threshold
        own.update(step.student, step.iteration)
        return replace(step, teacher=own).label_target()

    def augment(self, images: Tensor, step: Step) -> Tensor:
        """Colour jitter and blur; whether, in which order and with which sigma is the batch's."""
        jitter, blur = step.draws.triggers(STREAM)
        if jitter > self.jitter_threshold:
            jitters = step.draws.common_jitter(self.jitter_strength, STREAM)
            images = jitter_normalised(images, jitters, step.mean, step.std)
        if self.blur and blur > 0.5:
            images = gaussian_blur(images, step.draws.common_sigma(STREAM))
        return images

    def draw_mask(self, images: Tensor, step: Step) -> Tensor:
        """A random mask (B, 1, H, W) for ``images`` (B, 3, H, W)."""
        size = images.shape[2:]
        grids = step.draws.block_grids(block_grid(size, self.block_size))
        return block_mask(grids.to(images.device, non_blocking=True), self.ratio, size)
