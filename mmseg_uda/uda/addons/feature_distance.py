"""Thing-class ImageNet feature distance (DAFormer, Hoyer et al., CVPR 2022)."""

from collections.abc import Iterator, Sequence
from copy import deepcopy

import torch
from mmengine.dist import all_reduce, get_world_size
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.labels import THING_CLASSES
from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import Supervision, View
from mmseg_uda.models.sliding_window import crop
from mmseg_uda.uda.addon import AddOn, TrainingData, class_problems
from mmseg_uda.uda.components.reduce_labels import reduce_labels
from mmseg_uda.uda.step import Losses, Step


def feature_distance(features: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean Euclidean distance between two feature maps (B, D, h, w), over the cells of ``mask``.

    The mean is over the masked cells of all ranks; each rank returns its share times the number of
    ranks, so that their average is the mean. 0 if no cell is masked.

    Args:
        mask: (B, h, w) bool, the cells that count; None for all.

    >>> import torch
    >>> ones, zeros = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    >>> feature_distance(ones, zeros).item()
    2.0
    """
    distance = (features - reference).norm(dim=1)
    if mask is None:
        return distance.mean()
    count = mask.sum()
    all_reduce(count, op='sum')
    total = torch.where(mask, distance, 0.0).sum()
    return total * get_world_size() / count.clamp(min=1)


@MODELS.register_module()
class FeatureDistance(AddOn):
    """Keeps source features close to those of the ImageNet encoder.

    ``loss = weight * mean(||F(x_s) - F_ImageNet(x_s)||)`` over the cells of ``classes``.

    Args:
        weight: of the loss (lambda_FD).
        classes: train ids of the cells that count (things); None for all cells.
        min_ratio: share of a cell's pixels that its class must reach.
    """

    def __init__(
        self,
        weight: float = 0.005,
        classes: Sequence[int] | None = tuple(THING_CLASSES),
        min_ratio: float = 0.75,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.min_ratio = min_ratio
        self.classes = classes
        wanted = None
        if classes is not None:
            wanted = torch.tensor([value in classes for value in range(256)])
        self.register_buffer('wanted', wanted, persistent=False)

    def set_up(self, student: nn.Module) -> None:
        self.num_classes = student.num_classes
        self.encoder = deepcopy(student.backbone).requires_grad_(False)
        self.encoder.eval()

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from class_problems('FeatureDistance.classes', self.classes or (), data.num_classes)

    def after_init(self, student: nn.Module) -> None:
        if student.pretrained is None:
            raise UserError(
                'FeatureDistance compares with ImageNet features: set segmentor.pretrained to the '
                'backbone weights, or set model.addons.feature_distance=None'
            )
        self.encoder.load_state_dict(student.backbone.state_dict())

    def train(self, mode: bool = True) -> 'FeatureDistance':
        return super().train(False)  # the reference never trains

    def source_losses(self, step: Step, supervision: Supervision) -> Losses:
        distance = sum(self.distance(view, step.batch.source) for view in supervision.views)
        return {'src.loss_imnet_feat_dist': self.weight * distance}

    def distance(self, view: View, source: DomainBatch) -> Tensor:
        """The feature distance of one view of ``source``, 0-dimensional."""
        features = view.features[-1]
        with torch.no_grad():
            reference = self.encoder(view.prepare(source.images))[-1]
        if self.wanted is None:
            return feature_distance(features, reference)
        labels = source.labels if view.box is None else crop(source.labels, view.box)
        cells = reduce_labels(labels, features.shape[2:], self.num_classes, self.min_ratio)
        return feature_distance(features, reference, self.wanted[cells])
