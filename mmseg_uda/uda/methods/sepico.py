"""SePiCo: self-training with semantic-guided pixel contrast (Xie et al., TPAMI 2023)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import DomainBatch, UDABatch
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import Losses, Step, TrainingData
from mmseg_uda.uda.components.class_balanced_crop import best_corners, crop_domain
from mmseg_uda.uda.components.pixel_contrast import PixelContrast
from mmseg_uda.uda.methods.self_training import SelfTraining

IGNORE = 255
CANDIDATES = 10  # crops from which the most balanced one is chosen
MIXED, SOURCE, TARGET = range(3)  # streams of random draws


@MODELS.register_module()
class SePiCo(SelfTraining):
    """Self-training whose embeddings are drawn to their class's statistics and from the others'.

    A step: the teacher labels the target images, crops of them are chosen that hold many classes,
    and labelled again; the teacher's embeddings of the source enter the class statistics; the
    student learns from the strongly augmented source (cross entropy and contrast), from the
    strongly augmented target (contrast), and from class-mixed images (cross entropy). From
    Cityscapes to Dark Zurich it is the same with the add-on ``DayPartner`` and class weights in the
    segmentor.

    The student needs a ``ProjectionHead`` as ``auxiliary_head``. Target batches are uncropped.

    Args:
        crop_size: (height, width) of the target crops; smaller images keep their size.
        contrast: arguments of :class:`PixelContrast` (variant, temperature, ...).
        start_iteration: of the contrastive losses; the statistics grow from the start.
        crop_max_ratio: a crop in which one class has this share is no candidate.
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

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)
        contrast = self.iteration >= self.start_iteration

        # The teacher labels the target images, and again the most balanced crop of each.
        step.batch = replace(batch, target=self.balanced_crop(step))
        step.pseudo = step.label_target()
        source, target = step.batch.source, step.batch.target

        # The class statistics take in the teacher's view of the source.
        with torch.no_grad():
            network = self.teacher.network
            self.contrast.observe(network.project(network.features(source.images)), source.labels)

        # Learn from the source labels.
        supervision = self.supervise_source(step, self.strong_augment(source.images, step, SOURCE))
        losses = supervision.losses
        if contrast:
            embeddings = self.student.project(supervision.features)
            losses |= {'aux.loss_cl': self.contrast.loss(embeddings, source.labels)}
        del supervision
        yield losses
        del losses

        # Contrast of the target images, with all pseudo-labels that are not ruled out.
        if contrast:
            images = self.strong_augment(target.images, step, TARGET)
            embeddings = self.student.project(self.student.features(images))
            labels = step.pseudo.labels.masked_fill(step.pseudo.weight == 0, IGNORE)
            yield {'tgt.aux.loss_cl': self.contrast.loss(embeddings, labels)}
            del embeddings

        for addon in step.addons:
            yield from addon.before_mixing(step)

        # Learn from target images with source classes pasted onto them.
        yield self.mixed_pass(step)

        yield from self.further_passes(step)

    def balanced_crop(self, step: Step) -> DomainBatch:
        """The most varied of several crops of each target image, by the teacher's first labels."""
        target = step.batch.target
        sides = target.images.shape[2:]
        size = self.cut_size(sides)
        room = tuple(side - cut for side, cut in zip(sides, size, strict=True))
        corners = step.draws.crop_corners(CANDIDATES, room)
        corners = corners.to(target.images.device, non_blocking=True)
        labels = step.probabilities().argmax(dim=1)
        return crop_domain(target, best_corners(labels, corners, size, self.crop_max_ratio), size)

    def cut_size(self, size: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the crop of a target image of ``size``, (height, width)."""
        return tuple(min(pair) for pair in zip(self.crop_size, size, strict=True))
