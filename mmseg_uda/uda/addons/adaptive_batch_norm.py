"""Batch norm statistics of both domains (ABN), as in the baseline of DA-SAC."""

from collections.abc import Iterator

import torch
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.uda.addon import AddOn, TrainingData
from mmseg_uda.uda.step import Step


@MODELS.register_module()
class AdaptiveBatchNorm(AddOn):
    """Lets the running statistics of batch norm follow source and target images in turn.

    After each step the student sees the target images once, in training mode and without
    gradients. So the statistics that are used in evaluation are those of both domains. In
    Araslanov and Roth (CVPR 2021) it extends supervised training on the source.
    """

    def set_up(self, student: nn.Module) -> None:
        student.train()  # norm_eval takes effect here
        self.has_effect = any(
            isinstance(module, _BatchNorm) and module.training for module in student.modules()
        )

    def problems(self, data: TrainingData) -> Iterator[str]:
        if data.target_size is None:
            yield 'AdaptiveBatchNorm needs target images: set train_dataloader.dataset.target'
        if not self.has_effect:
            yield (
                'AdaptiveBatchNorm has no effect, because model.segmentor has no batch norm that '
                'updates its statistics: remove it, or set norm_eval=False in the segmentor'
            )

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        _ = step.student.train_pass(step.batch.target.images).logits  # runs the head's norms, too
