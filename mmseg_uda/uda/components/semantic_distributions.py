"""SDCA's semantic distributions: statistics of each class's features and logits.

Li et al., "Semantic Distribution-aware Contrastive Adaptation for Semantic Segmentation", 2021.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.files import atomic_write, looked_in
from mmseg_uda.models.precision import at_least_float32
from mmseg_uda.tensor_files import read_tensors
from mmseg_uda.uda.components.class_statistics import ClassStatistics
from mmseg_uda.uda.components.contrast_losses import semantic_loss
from mmseg_uda.uda.components.reduce_labels import nearest_labels

FILES = {'feat': 'feat_dist.pth', 'out': 'out_dist.pth'}
# Names in the published files -> names of our buffers.
ENTRIES = {'Mean': 'mean', 'CoVariance': 'variance', 'Amount': 'count'}


class SemanticDistributions(nn.Module):
    """Statistics of each class at two levels: the last features and the classifier's logits.

    Maps are given by level: ``{'feat': (B, A, h, w), 'out': (B, C, h, w)}``, not normalised. Labels
    are resized to a map's size by nearest pixels.

    Args:
        num_classes: C.
        channels: A, of the features.
        reduce: see :class:`ClassStatistics`.

    >>> distributions = SemanticDistributions(num_classes=2, channels=3)
    >>> maps = {'feat': torch.ones(1, 3, 2, 2), 'out': torch.zeros(1, 2, 2, 2)}
    >>> distributions.update(maps, torch.zeros(1, 8, 8, dtype=torch.int64))
    >>> distributions.levels['feat'].mean[0].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, num_classes: int, channels: int, reduce: bool = True) -> None:
        super().__init__()
        self.levels = nn.ModuleDict(
            dict(
                feat=ClassStatistics(num_classes, channels, reduce=reduce),
                out=ClassStatistics(num_classes, num_classes, reduce=reduce),
            )
        )

    @classmethod
    def of(cls, segmentor: nn.Module, reduce: bool = True) -> 'SemanticDistributions':
        """Empty distributions for the classes and the last features of a segmentor."""
        return cls(segmentor.num_classes, segmentor.feature_channels, reduce)

    def update(self, maps: dict[str, Tensor], labels: Tensor) -> None:
        """Update the statistics with maps and labels (B, H, W), 255 = ignore."""
        for level, cells in maps.items():
            size = cells.shape[2:]
            self.levels[level].update(cells.detach(), nearest_labels(labels, size))

    def loss(self, maps: dict[str, Tensor], labels: Tensor, temperature: float) -> dict:
        """Contrast of maps with labels (B, H, W): level -> 0-dimensional loss."""
        losses = {}
        for level, cells in maps.items():
            classes = self.levels[level]
            with torch.autocast(cells.device.type, enabled=False):
                losses[level] = semantic_loss(
                    at_least_float32(cells),
                    nearest_labels(labels, cells.shape[2:]),
                    classes.mean,
                    classes.variance,
                    temperature,
                )
        return losses

    def save(self, folder: Path) -> None:
        """Write ``feat_dist.pth`` and ``out_dist.pth``, as published: float32, counts too."""
        for level, name in FILES.items():
            classes = self.levels[level]
            content = {
                published: getattr(classes, own).float().cpu() for published, own in ENTRIES.items()
            }
            with atomic_write(folder / name) as file:
                torch.save(content, file)

    def load(self, folder: str | Path) -> None:
        """Read the files of :meth:`save` or published ones.

        Raises:
            UserError: a file is missing, damaged, or of other classes or features.
        """
        for level, name in FILES.items():
            path, classes = Path(folder) / name, self.levels[level]
            content = _read(path)
            for published, own in ENTRIES.items():
                buffer, value = getattr(classes, own), content.get(published)
                if not isinstance(value, Tensor) or value.shape != buffer.shape:
                    found = tuple(value.shape) if isinstance(value, Tensor) else 'missing'
                    raise UserError(
                        f'{path}: {published} is {found}, this network needs '
                        f'{tuple(buffer.shape)}: initialise the statistics with its own source '
                        'checkpoint'
                    )
                buffer.copy_(value)


def _read(path: Path) -> dict:
    if not path.is_file():
        raise UserError(
            f'statistics {path} do not exist{looked_in(path)}: make them with '
            'mmseg-uda init-statistics, or set model.statistics=None to start from none'
        )
    content = read_tensors(path, 'make it again with mmseg-uda init-statistics')
    return content if isinstance(content, dict) else {}
