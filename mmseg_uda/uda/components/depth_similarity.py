"""Similarity of images by the depths at which their classes appear, and the search of a bank.

CDDA (class-wise depth distribution alignment). A *table* counts the pixels of each class (C) in
each depth bin (D, one grey level wide); a *bank* holds the tables of many source crops. The search
is exact and creates no second tensor of rows x classes x bins.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_BINS = 256


@torch.no_grad()
def distribution_tables(labels: Tensor, depth: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of each class in each depth bin, for all images at once.

    Args:
        labels: (B, H, W) int64; only values in 0..num_classes - 1 are counted (255 = ignore).
        depth: (B, H, W) float in [0, 256); the bin is its integer part.

    Returns:
        (B, num_classes, 256) float32.

    >>> labels = torch.tensor([[[0, 1, 1, 255]]])
    >>> tables = distribution_tables(labels, torch.tensor([[[7.0, 9.5, 9.0, 9.0]]]), 2)
    >>> tables.nonzero().tolist(), tables[0, 1, 9].item()
    ([[0, 0, 7], [0, 1, 9]], 2.0)
    """
    cells = torch.where(labels < num_classes, labels * NUM_BINS + depth.long(), -1)
    return _count(cells, num_classes * NUM_BINS).unflatten(1, (num_classes, NUM_BINS))


@torch.no_grad()
def depth_histograms(depth: Tensor, whole_only: bool = False) -> Tensor:
    """Count the pixels of each image in each depth bin, (B, H, W) -> (B, 256) float32.

    Args:
        whole_only: count only the pixels whose depth is an integer.
    """
    bins = depth.long()
    return _count(torch.where(bins == depth, bins, -1) if whole_only else bins, NUM_BINS)


def _count(cells: Tensor, number: int) -> Tensor:
    """Count the values 0..number - 1 in each image (B, H, W), without -1: (B, number)."""
    # One histogram for the batch; ``bincount`` needs a device-to-host synchronisation.
    batch = len(cells)
    first = torch.arange(batch, device=cells.device).view(-1, 1) * (number + 1)
    cells = (first + 1 + cells.flatten(1)).flatten()
    counts = torch.zeros(batch * (number + 1), device=cells.device)
    counts.index_add_(0, cells, torch.ones((), device=cells.device).expand_as(cells))
    return counts.view(batch, number + 1)[:, 1:]


def class_cosine(rows: Tensor, tables: Tensor, inverse_norms: Tensor | None = None) -> Tensor:
    """Cosine between the bins of rows (..., N, D) and of tables (..., B, D): (..., N, B).

    0 where either is empty.

    Args:
        inverse_norms: (..., N), 1 / length of the rows, 0 for an empty row; computed if not given.
    """
    if inverse_norms is None:
        inverse_norms = inverse_lengths(rows)
    return rows @ F.normalize(tables, dim=-1).mT * inverse_norms.unsqueeze(-1)


def class_distance(rows: Tensor, tables: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Bray-Curtis distance in [0, 1] between rows (..., N, D) and tables (..., B, D): (..., N, B).

    The sum of absolute differences over the sum of all pixels; 0 where both are empty.

    Args:
        pixels: (..., N), the sums of the rows; computed if not given.
    """
    pixels = rows.sum(-1) if pixels is None else pixels
    both = pixels.unsqueeze(-1) + tables.sum(-1).unsqueeze(-2)
    return torch.cdist(rows, tables, p=1) / both.clamp(min=1)


def inverse_lengths(vectors: Tensor) -> Tensor:
    """1 / Euclidean length of vectors (..., D), 0 for a zero vector: (...)."""
    lengths = vectors.norm(dim=-1)
    return torch.where(lengths > 0, 1 / lengths, 0)


@dataclass
class Match:
    """The bank's most similar row of each image.

    Attributes:
        rows: (B,) int64, the first of equally similar ones.
        similarity: (B,), mean class similarity to that row, times the cosine of the class areas;
            NaN for an image without any valid pixel.
        class_similarity: (B, C) to that row, 0 for classes that are not in the image.
        tables: (B, C, D) of those rows.
    """

    rows: Tensor
    similarity: Tensor
    class_similarity: Tensor
    tables: Tensor


class DepthSimilarity(nn.Module):
    """Searches a bank of tables.

    Args:
        counts: (C, N, D) float32, contiguous: the bank, class-major. It may be a view of a
            memory-mapped file; ``.to(device)`` copies it to the device. It is not part of
            checkpoints.
    """

    def __init__(self, counts: Tensor) -> None:
        super().__init__()
        pixels = torch.stack([rows.sum(-1) for rows in counts])
        for name, value in {
            'counts': counts,
            'pixels': pixels,  # (C, N), sums over the bins
            'inverse_norms': torch.stack([inverse_lengths(rows) for rows in counts]),  # (C, N)
            'inverse_areas': inverse_lengths(pixels.T),  # (N,)
        }.items():
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def image_similarities(self, tables: Tensor) -> Tensor:
        """Similarity of each row with each image, tables (B, C, D) -> (B, N).

        The sum over the image's classes of (cosine + 1 - distance) / 2 between the depth bins,
        times the cosine between the class areas.
        """
        with torch.autocast(tables.device.type, enabled=False):  # counts need full precision
            areas = tables.sum(-1)
            total = tables.new_zeros(self.counts.shape[1], len(tables))
            for train_id in self._present(areas):
                rows, table = self.counts[train_id], tables[:, train_id]
                cosine = class_cosine(rows, table, self.inverse_norms[train_id])
                distance = class_distance(rows, table, self.pixels[train_id])
                total += (cosine + 1 - distance) * (areas[:, train_id] > 0)
            cosine = self.pixels.T @ F.normalize(areas, dim=1).T * self.inverse_areas.unsqueeze(1)
            return (total / 2 * cosine).T

    @torch.no_grad()
    def search(self, tables: Tensor) -> Match:
        """The most similar row of each image, tables (B, C, D)."""
        best, rows = self.image_similarities(tables).max(dim=1)
        found = self.counts[:, rows].transpose(0, 1)
        present = tables.sum(-1) > 0
        return Match(
            rows, best / present.sum(-1), class_similarities(found, tables) * present, found
        )

    def _present(self, areas: Tensor) -> list[int] | range:
        """Classes to compare: on the CPU those of the images, elsewhere all.

        On a GPU reading absent classes costs less than a device-to-host synchronisation.
        """
        if areas.device.type == 'cpu':
            return torch.nonzero(areas.any(0)).flatten().numpy()
        return range(len(self.counts))


@torch.no_grad()
def class_similarities(rows: Tensor, tables: Tensor) -> Tensor:
    """(cosine + 1 - distance) / 2 of each class, for pairs (..., C, D) of tables: (..., C)."""
    with torch.autocast(tables.device.type, enabled=False):
        rows, tables = rows.unsqueeze(-2), tables.unsqueeze(-2)
        similarity = (class_cosine(rows, tables) + 1 - class_distance(rows, tables)) / 2
        return similarity.flatten(-3)
