"""SDCA: contrast with the semantic distributions of the source (Li et al., 2021)."""

from collections.abc import Iterator
from pathlib import Path

from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.components.pseudo_labels import confident_labels
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions
from mmseg_uda.uda.method import Losses, UDAMethod, prefixed


@MODELS.register_module()
class SDCA(UDAMethod):
    """Pixels of both domains are drawn to the distribution of their class in the source.

    A step: the student learns from the source labels; its source features and logits enter the
    class distributions; then the features and the logits of the source, by label, and of the
    target, by the student's own confident predictions, are contrasted with these distributions.
    No teacher, no adversary, no gradient into the distributions.

    With the published temperature of 100 the contrast is ln C to within 0.01 for any input, and its
    gradient small: that is the method.

    Args:
        confidence: probability below which a target cell has no label.
        temperature: of the contrast (tau).
        feature_weight, output_weight: of the contrast of features and of logits; with 0 that level
            is left out.
        statistics: folder with ``feat_dist.pth`` and ``out_dist.pth`` to start from, or the path of
            one of the two; None: the distributions start empty.
        reduce_statistics: sum the statistics over the ranks. The published code does not, there
            every process has its own.
        options: of :class:`UDAMethod` (segmentor, data_preprocessor, seed, addons).

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

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)

        # Learn from the source labels; the source distributions take in what the student sees.
        supervision = self.supervise_source(step)
        maps = self.maps(supervision.features, supervision.logits)
        self.distributions.update(maps, batch.source.labels)
        losses = supervision.losses | self.contrast(maps, batch.source.labels)
        del supervision, maps
        yield losses
        del losses

        # Contrast of the target cells that the student is sure of.
        features = self.student.features(batch.target.images)
        logits = self.student.decode(features)
        labels = confident_labels(logits, self.confidence)
        yield prefixed(self.contrast(self.maps(features, logits), labels), 'tgt.')
        del features, logits, labels

        yield from self.further_passes(step)

    def maps(self, features: list[Tensor], logits: Tensor) -> dict[str, Tensor]:
        """What is contrasted at each level in use: the last features, and the raw logits."""
        maps = {'feat': features[-1], 'out': logits}
        return {level: maps[level] for level, weight in self.weights.items() if weight}

    def contrast(self, maps: dict[str, Tensor], labels: Tensor) -> Losses:
        """Weighted contrast of maps with labels (B, H, W), as 'loss_feat' and 'loss_out'."""
        losses = self.distributions.loss(maps, labels, self.temperature)
        return {f'loss_{level}': self.weights[level] * loss for level, loss in losses.items()}
