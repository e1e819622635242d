"""SDCA: contrast with the semantic distributions of the source (Li et al., 2021)."""

from collections.abc import Iterator
from pathlib import Path

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.forward_pass import ForwardPass
from mmseg_uda.uda.components.pseudo_labels import confident_labels
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions
from mmseg_uda.uda.method import UDAMethod, prefixed
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class SDCA(UDAMethod):
    """Pulls pixels of both domains towards the source distribution of their class.

    A step: supervised training on the source; the student's source features and logits update the
    class distributions; features z and logits o of the source, by label, and of the target, by the
    student's confident predictions y_t, are contrasted with these distributions::

        loss = CE(o_s, y_s) + w_f (C(z_s, y_s) + C(z_t, y_t)) + w_o (C(o_s, y_s) + C(o_t, y_t))

    with the contrast C of :func:`semantic_loss`. There is no teacher, no discriminator and no
    gradient through the distributions.

    With the published temperature of 100 the contrast is within 0.01 of ln C for any input, and its
    gradient is small; this is as published.

    Args:
        confidence: probability below which a target cell is ignored.
        temperature: of the contrast (tau).
        feature_weight, output_weight: of the contrast of features and of logits; 0 switches a level
            off.
        statistics: folder with ``feat_dist.pth`` and ``out_dist.pth`` to start from, or the path of
            one of the two; None: the distributions start empty.
        reduce_statistics: use the images of all ranks; in the published code each process has its
            own statistics.
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: see :meth:`SemanticDistributions.load`.
    """

    def __init__(
        self,
        confidence: float = 0.9,
        temperature: float = 100.0,
        feature_weight: float = 1.0,
        output_weight: float = 1.0,
        statistics: str | None = None,
        reduce_statistics: bool = True,
        **options,
    ) -> None:
        super().__init__(**options)
        self.confidence = confidence
        self.temperature = temperature
        self.weights = {'feat': feature_weight, 'out': output_weight}
        self.statistics = statistics
        self.distributions = SemanticDistributions.of(self.student, reduce_statistics)

    def init_weights(self) -> None:
        super().init_weights()
        if self.statistics is not None:
            path = Path(self.statistics)
            self.distributions.load(path.parent if path.suffix == '.pth' else path)

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.learn_source(step)
        yield self.contrast_target(step)
        yield from self.further_passes(step)

    def learn_source(self, step: Step) -> Losses:
        """Source losses and contrast, after an update of the distributions."""
        labels = step.batch.source.labels
        supervision = self.supervise_source(step)
        maps = self.maps(supervision)
        self.distributions.update(maps, labels)
        return supervision.losses | self.contrast(maps, labels)

    def contrast_target(self, step: Step) -> Losses:
        """Contrast of the target cells with confident predictions."""
        target = self.student.whole_pass(step.batch.target.images)
        labels = confident_labels(target.logits, self.confidence)
        losses = prefixed(self.contrast(self.maps(target), labels), 'tgt.')
        return losses | self.target_losses(step, target)

    def maps(self, forward: ForwardPass) -> dict[str, Tensor]:
        """What is contrasted: the last features (B, A, h, w) and the logits (B, C, h, w)."""
        maps = {'feat': forward.features[-1], 'out': forward.logits}
        return {level: maps[level] for level, weight in self.weights.items() if weight}

    def contrast(self, maps: dict[str, Tensor], labels: Tensor) -> Losses:
        """Weighted contrast of maps with labels (B, H, W), as 'loss_feat' and 'loss_out'."""
        losses = self.distributions.loss(maps, labels, self.temperature)
        return {f'loss_{level}': self.weights[level] * loss for level, loss in losses.items()}
