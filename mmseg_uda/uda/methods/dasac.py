"""DA-SAC: self-supervised augmentation consistency (Araslanov and Roth, CVPR 2021)."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch, Views
from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData, view_problems
from mmseg_uda.uda.components.class_prior import RunningPrior, above_threshold, class_means
from mmseg_uda.uda.components.distributed import mean_over_images
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.components.view_fusion import fuse_views
from mmseg_uda.uda.method import UDAMethod, prefixed
from mmseg_uda.uda.step import Labelled, Losses, Step


@MODELS.register_module()
class DASAC(UDAMethod):
    """Self-training on T views of each target image, labelled by the mean of their predictions.

    A step: supervised training on the source; the teacher predicts the clean views; the mean m of
    these predictions updates the running class prior chi; their average p in the image's frame
    labels all views; the student is trained on the noisy views x_t::

        chi = momentum chi + (1 - momentum) m
        theta_c = max(lower, upper max_{y = c} p_y (1 - exp(-chi_c / beta)))   in each view
        y = argmax p where p_y > theta_y, else ignored
        loss = CE(f(x_s), y_s) + target_weight mean(q (1 - chi_y)^focal_power CE(f(x_t), y))

    The views 'clean' and 'noisy' of a target sample have the same geometry. Batch norm is frozen in
    the published training: set ``norm_eval`` of the segmentor's backbone and FCN-8s head.

    Add-ons: target losses join the pass on the noisy views (B * T images). Source losses, passes
    and ``after_step`` are as everywhere. Those that need pseudo-labels of whole images have none.

    Args:
        teacher: options of :class:`Teacher`; default: momentum 0.99, at every 100th iteration.
        epoch_length: iterations after which the teacher's interval is counted anew, in the
            published training the source images divided by the batch size.
        prior_momentum: of chi.
        beta: prior at which the threshold of a class reaches 63 %, and the initial prior.
        upper: share of a class's largest probability in a view that its threshold is.
        lower: smallest threshold.
        focal_power: exponent of the weight of rare classes.
        target_weight: of the loss on target images.
        confidence: q is the mean of p_y at a pixel's position over all views of the batch ('batch',
            as published), or p_y ('pixel').
        target_only: no training on the source.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: an unknown ``confidence``; see also :class:`Teacher`.
    """

    def __init__(
        self,
        teacher: Mapping[str, Any] | None = None,
        epoch_length: int = 1125,
        prior_momentum: float = 0.99,
        beta: float = 1e-3,
        upper: float = 0.75,
        lower: float = 0.2,
        focal_power: float = 3,
        target_weight: float = 5.0,
        confidence: Literal['batch', 'pixel'] = 'batch',
        target_only: bool = False,
        **options,
    ) -> None:
        super().__init__(**options)
        if confidence not in ('batch', 'pixel'):
            raise UserError(f"DASAC.confidence is {confidence!r}, it must be 'batch' or 'pixel'")
        momentum = dict(alpha=0.99, interval=100, epoch_length=epoch_length, warm_up=False)
        evaluation = dict(mode='evaluation', buffers='averaged', threshold=None)
        self.teacher = Teacher(self.student, **momentum | evaluation | dict(teacher or {}))
        self.prior = RunningPrior(self.student.num_classes, prior_momentum, beta)
        self.upper, self.lower = upper, lower
        self.focal_power = focal_power
        self.target_weight = target_weight
        self.confidence = confidence
        self.target_only = target_only

    def init_weights(self) -> None:
        super().init_weights()
        self.student_loaded()

    def student_loaded(self) -> None:
        self.teacher.follow(self.student)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from super().problems(data)
        yield from view_problems('DASAC', ('clean', 'noisy'), data)

    def begin(self, batch: UDABatch) -> Step:
        """Start a training step: the teacher follows the student."""
        self.teacher.update(self.student, self.iteration)
        return super().begin(batch)

    def passes(self, step: Step) -> Iterator[Losses]:
        if not self.target_only:
            yield self.supervise_source(step).losses
        yield self.learn_views(step)
        yield from self.further_passes(step)

    def learn_views(self, step: Step) -> Losses:
        """The losses on the noisy views, by the labels of the clean ones."""
        views = step.batch.target.views
        labelled = self.label_views(views['clean'], views['noisy'].images.flatten(0, 1))
        supervision = self.student.supervise(labelled.images, labelled.labels, labelled.weight)
        losses = prefixed(supervision.losses, 'tgt.')
        return losses | self.target_losses(step, supervision)

    @torch.no_grad()
    def label_views(self, clean: Views, images: Tensor) -> Labelled:
        """Labels and weights of ``images`` (B * T, 3, H, W), the views of ``clean`` with noise."""
        means, confidence, labels = self.predict(clean)
        self.prior.update(means)
        return self.weigh(images, confidence, labels)

    def predict(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Mean class probabilities and fused predictions of views.

        Returns:
            Class means (B * T, C) before the fusion; confidence and most probable class of the
            fused predictions, (B * T, H, W) each.
        """
        number = views.images.shape[1]
        answer = self.teacher.answer(views.images.flatten(0, 1))
        means, confidence, labels = [], [], []
        for i, geometry in enumerate(views.geometry):  # one image at a time needs less memory
            probabilities = answer.probabilities(slice(i * number, (i + 1) * number))
            means.append(class_means(probabilities))
            fused = fuse_views(probabilities, geometry).max(dim=1)
            confidence.append(fused.values)
            labels.append(fused.indices)
        return torch.cat(means), torch.cat(confidence), torch.cat(labels)

    def weigh(self, images: Tensor, confidence: Tensor, labels: Tensor) -> Labelled:
        """Ignore labels below the thresholds; weigh the others by confidence and rarity."""
        kept = above_threshold(confidence, labels, self.prior.discount(), self.upper, self.lower)
        focal = self.prior.focal_weight(self.focal_power)[labels]
        if self.confidence == 'batch':
            confidence = mean_over_images(confidence)
        weight = self.target_weight * focal * confidence
        return Labelled(images, labels.masked_fill(~kept, IGNORE), weight)
