"""Pseudo-labels from several views of a target image, as in DA-SAC."""

from collections.abc import Iterator

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.uda.addon import AddOn, TrainingData, view_problems
from mmseg_uda.uda.components.view_fusion import normalise
from mmseg_uda.uda.components.warp import warp
from mmseg_uda.uda.step import Step


@MODELS.register_module()
class ViewFusion(AddOn):
    """Averages the teacher's probabilities of a target image with those of zoomed, flipped views.

    The teacher also predicts the T views 'clean' of each image (Araslanov and Roth, CVPR 2021). At
    each pixel the result is the mean over the views that cover it and the image itself. This costs
    T more teacher passes per image.
    """

    needs_pseudo_labels = True

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from view_problems('ViewFusion', ('clean',), data)

    @torch.no_grad()
    def probabilities(self, step: Step, probabilities: Tensor) -> Tensor:
        views = step.batch.target.views['clean']
        number, size = views.images.shape[1], probabilities.shape[-2:]
        answer = step.ask(views.images)
        total = probabilities.clone()
        for i, geometry in enumerate(views.geometry):  # one image at a time needs less memory
            of_views = answer.probabilities(slice(i * number, (i + 1) * number))
            total[i] += warp(of_views, geometry, size).sum(dim=0)
        return normalise(total)
