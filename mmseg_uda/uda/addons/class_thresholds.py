"""Thresholds of pseudo-labels that depend on the class, as in DA-SAC."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.uda.addon import AddOn
from mmseg_uda.uda.components.class_prior import RunningPrior, above_threshold, class_means
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.step import Step


@MODELS.register_module()
class ClassThresholds(AddOn):
    """Weight 0 for pseudo-labels whose probability does not exceed the threshold of their class.

    The threshold of class c in an image is ``max(lower, upper peak_c (1 - exp(-chi_c / beta)))``
    with the largest probability ``peak_c`` among its pixels and a running class prior ``chi``
    (Araslanov and Roth, CVPR 2021). The other pixels keep the weight of the method; a ``threshold``
    of None there makes it 1. The prior follows the probabilities as the add-ons above this one in
    the config return them.

    Args:
        prior_momentum: of the running prior.
        beta: prior at which the threshold of a class reaches 63 %, and the initial prior.
        upper: share of the peak that the threshold is.
        lower: smallest threshold.
    """

    needs_pseudo_labels = True

    def __init__(
        self,
        prior_momentum: float = 0.99,
        beta: float = 1e-3,
        upper: float = 0.75,
        lower: float = 0.2,
    ) -> None:
        super().__init__()
        self.prior_momentum, self.beta = prior_momentum, beta
        self.upper, self.lower = upper, lower

    def set_up(self, student: nn.Module) -> None:
        self.prior = RunningPrior(student.num_classes, self.prior_momentum, self.beta)

    @torch.no_grad()
    def probabilities(self, step: Step, probabilities: Tensor) -> Tensor:
        self.means = class_means(probabilities)
        return probabilities

    @torch.no_grad()
    def reweight(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        if step.pseudo is None:  # another teacher's labels in the same step do not move the prior
            self.prior.update(self.means)
        self.kept = above_threshold(
            pseudo.confidence, pseudo.labels, self.prior.discount(), self.upper, self.lower
        )
        return pseudo

    def mask(self, step: Step, weight: Tensor) -> Tensor:
        return weight * self.kept
