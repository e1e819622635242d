"""SePiCo: self-training with semantic-guided pixel contrast (Xie et al., TPAMI 2023)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components.class_balanced_crop import best_corners, crop_domain
from mmseg_uda.uda.components.pixel_contrast import PixelContrast
from mmseg_uda.uda.methods.self_training import SelfTraining
from mmseg_uda.uda.step import Losses, Step

CANDIDATES = 10  # crops from which the most balanced one is chosen
MIXED, SOURCE, TARGET = range(3)  # streams of random draws; MIXED is that of self-training


@MODELS.register_module()
class SePiCo(SelfTraining):
    """Self-training with contrast of pixel embeddings against class statistics.

    A step: the teacher labels the target images, a class-balanced crop of each is chosen and
    labelled again; the teacher's source embeddings update the class statistics; the student is
    trained on strongly augmented source and target images and on class-mixed ones::

        loss = CE(f(x_s), y_s) + CL(z_s, y_s) + CL(z_t, y_t) + mean(w_m CE(f(x_m), y_m))

    with embeddings z, pseudo-labels y_t, the contrast CL of :class:`PixelContrast` and the mixed
    images of :class:`SelfTraining`. Cityscapes to Dark Zurich uses the add-on ``DayPartner`` and
    class weights in the segmentor.

    The student needs a ``ProjectionHead`` as ``auxiliary_head``. Target batches are uncropped.

    Args:
        crop_size: (height, width) of the target crops; smaller images keep their size.
        contrast: arguments of :class:`PixelContrast` (variant, temperature, ...).
        start_iteration: of the contrastive losses; statistics are collected from iteration 0.
        crop_max_ratio: a crop in which one class has this share of the pixels is not chosen.
        options: of :class:`SelfTraining` (segmentor, alpha, threshold, addons, ...).

    Raises:
        UserError: the segmentor has no projection head; see also :class:`PixelContrast`.
    """

    def __init__(
        self,
        crop_size: Sequence[int],
        contrast: dict | None = None,
        start_iteration: int = 3000,
        crop_max_ratio: float = 0.75,
        **options,
    ) -> None:
        super().__init__(**options)
        self.crop_size = tuple(crop_size)
        self.start_iteration = start_iteration
        self.crop_max_ratio = crop_max_ratio
        if not self.student.with_auxiliary_head:
            raise UserError('SePiCo needs a ProjectionHead: set segmentor.auxiliary_head')
        head = self.student.auxiliary_head
        self.contrast = PixelContrast(
            self.student.num_classes, head.channels, num_maps=head.num_outputs, **contrast or {}
        )

    def problems(self, data: TrainingData) -> Iterator[str]:
        if data.target_size is not None:
            data = replace(data, target_size=self.cut_size(data.target_size))
        yield from super().problems(data)

    def passes(self, step: Step) -> Iterator[Losses]:
        step.batch = replace(step.batch, target=self.balanced_crop(step))
        step.pseudo = step.label_target()
        self.observe_source(step)
        yield self.learn_source(step)
        if self.contrasting:
            yield self.contrast_target(step)
        yield from self.learn_mixed(step)
        yield from self.further_passes(step)

    @property
    def contrasting(self) -> bool:
        """Whether the contrastive losses have started."""
        return self.iteration >= self.start_iteration

    def balanced_crop(self, step: Step) -> DomainBatch:
        """The most class-balanced of several crops of each target image."""
        target = step.batch.target
        sides = target.images.shape[2:]
        size = self.cut_size(sides)
        room = tuple(side - cut for side, cut in zip(sides, size, strict=True))
        if not any(room):
            return target
        corners = step.draws.crop_corners(CANDIDATES, room)
        corners = corners.to(target.images.device, non_blocking=True)
        labels = step.probabilities().argmax(dim=1)
        return crop_domain(target, best_corners(labels, corners, size, self.crop_max_ratio), size)

    def cut_size(self, size: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the crop of a target image of ``size``, (height, width)."""
        return tuple(min(pair) for pair in zip(self.crop_size, size, strict=True))

    @torch.no_grad()
    def observe_source(self, step: Step) -> None:
        """Update the class statistics with the teacher's source embeddings."""
        source, network = step.batch.source, self.teacher.network
        embeddings = network.project(network.features(source.images))
        self.contrast.observe(embeddings, source.labels)

    def learn_source(self, step: Step) -> Losses:
        """Cross entropy and contrast on the strongly augmented source."""
        source = step.batch.source
        images = self.augment(source.images, step, SOURCE)
        supervision = self.supervise_source(step, images)
        if not self.contrasting:
            return supervision.losses
        embeddings = self.student.project(supervision.features)
        loss = self.contrast.loss(embeddings, source.labels)
        return supervision.losses | {'aux.loss_cl': loss}

    def contrast_target(self, step: Step) -> Losses:
        """Contrast on the strongly augmented target, by all pseudo-labels with a weight above 0."""
        images = self.augment(step.batch.target.images, step, TARGET)
        target = self.student.whole_pass(images)
        labels = step.pseudo.labels.masked_fill(step.pseudo.weight == 0, IGNORE)
        loss = self.contrast.loss(self.student.project(target.features), labels)
        return {'tgt.aux.loss_cl': loss} | self.target_losses(step, target)

    def augment(self, images: Tensor, step: Step, stream: int) -> Tensor:
        """Strongly augmented images (B, 3, H, W)."""
        return self.strong_augmentation(images, step.draws, step.mean, step.std, stream)
