"""Time and memory of CDDA's search, and its deviation from the plain formula."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cost import Cost, measure
from mmseg_uda.datasets.depth_bank import COUNTS, RECORD, ROWS, write_counts
from mmseg_uda.files import save_record, sha256
from mmseg_uda.uda.components.depth_similarity import (
    NUM_BINS,
    DepthSimilarity,
    Match,
    distribution_tables,
)

NUM_CLASSES = 19
PLAIN_ROWS = 500  # rows of which the plain formula holds the tables of all classes at once


def synthetic_bank(rows: int, generator: torch.Generator) -> Tensor:
    """Counts (C, N, D): 61 % of the rows of a class have pixels, in 41 % of their bins."""
    counts = torch.empty(NUM_CLASSES, rows, NUM_BINS)
    for of_class in counts:
        of_class.exponential_(0.03, generator=generator).floor_()
        of_class *= torch.rand(rows, NUM_BINS, generator=generator) < 0.41
        of_class *= torch.rand(rows, 1, generator=generator) < 0.61
    return counts


def write_bank(folder: Path, rows: int, crop_size: tuple[int, int], scale: tuple[int, int]) -> None:
    """Write a :class:`DepthBank` of :func:`synthetic_bank`, its crops cut from one image.

    Args:
        crop_size: (height, width) of the crops.
        scale: size that the image, as large as GTA's, is resized to, see ``LabelFirstCrop``.
    """
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, NUM_CLASSES, (33, 60), generator=generator, dtype=torch.uint8)
    label = cells.repeat_interleave(32, 0).repeat_interleave(32, 1)[:1052, :1914].numpy()
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(folder / 'label.png')
    Image.fromarray(label * 13).convert('RGB').save(folder / 'image.png')
    height, width = crop_size
    columns = dict(image='image.png', label='label.png', box=(0, height, 0, width), flip=False)
    np.savez(folder / ROWS, **{name: np.array([value] * rows) for name, value in columns.items()})
    fingerprint = dict(crop_size=crop_size, scale=scale, num_classes=NUM_CLASSES, rows=rows)
    counts = synthetic_bank(rows, generator).transpose(0, 1)
    write_counts(folder / COUNTS, counts.shape, [counts.numpy()])
    record = dict(
        data_root=str(folder),
        label_map=None,
        reduce_zero_label=False,
        crops=False,
        fingerprint=fingerprint,
        counts_sha256=sha256(folder / COUNTS),
    )
    save_record(folder / RECORD, record)


def target_tables(
    images: int, generator: torch.Generator, classes: int = 12, size: int = 512
) -> Tensor:
    """Tables (B, C, D) of pseudo-labels in squares, every class around a depth of its own.

    Args:
        images: B.
        classes: number of classes that occur.
        size: side of the images in pixels.
    """
    chosen = torch.randperm(NUM_CLASSES, generator=generator)[:classes]
    squares = torch.randint(0, classes, (images, size // 16, size // 16), generator=generator)
    squares.flatten(1)[:, :classes] = torch.arange(classes)
    labels = chosen[squares].repeat_interleave(16, 1).repeat_interleave(16, 2)
    noise = torch.randn(images, size, size, generator=generator)
    depth = (12.0 * labels + 20 + 10 * noise).clamp(0, 255)
    return distribution_tables(labels, depth, NUM_CLASSES)


@torch.no_grad()
def search_visits(banks: list[DepthSimilarity], tables: Tensor) -> tuple[Tensor, Tensor]:
    """Best row and mean similarity, (B,) each, over banks whose rows are numbered in sequence.

    Args:
        tables: (B, C, D).
    """
    found: list[Match] = [bank.search(tables) for bank in banks]
    best = torch.stack([match.similarity for match in found])
    similarity, place = best.max(dim=0)
    rows = torch.stack([match.rows for match in found]).gather(0, place.unsqueeze(0)).squeeze(0)
    return rows + place * banks[0].counts.shape[1], similarity


def measure_search(
    rows: int, images: int, repeats: int, in_memory: int, device: str, seed: int = 0
) -> tuple[Cost, tuple[int, float, float]]:
    """Measure the search of a bank and compare its results with the plain formula.

    Args:
        rows: of the bank. Beyond ``in_memory`` rows the same rows are searched repeatedly: reading
            and computing are those of the large bank, memory is not.
        images: target images per search.

    Returns:
        The cost of one search, its peak without bank and target tables; number of images whose
        best row differs from the plain formula's, and the largest differences of mean similarity
        and of class similarity.
    """
    generator = torch.Generator().manual_seed(seed)
    held = min(rows, in_memory)
    bank = DepthSimilarity(synthetic_bank(held, generator)).to(device)
    tables = target_tables(images, generator).to(device)
    visits, rest = divmod(rows, held)
    banks = [bank] * visits
    if rest:
        banks.append(DepthSimilarity(bank.counts[:, :rest]))

    def run() -> tuple[Tensor, Tensor]:
        return search_visits(banks, tables)

    run()
    (cost,) = measure((run,), repeats)
    match, deviation = bank.search(tables), (0, 0.0, 0.0)
    for image, (best, similarity, classes) in enumerate(plain_search(bank.counts, tables)):
        deviation = (
            deviation[0] + int(match.rows[image] != best),
            max(deviation[1], abs(float(match.similarity[image]) - similarity)),
            max(deviation[2], float((match.class_similarity[image] - classes).abs().max())),
        )
    return cost, deviation


def plain_search(counts: Tensor, tables: Tensor) -> Iterator[tuple[int, float, Tensor]]:
    """Yield best row, its mean similarity and class similarities (C,) per image, in float64.

    Args:
        counts: (C, N, D).
        tables: (B, C, D).
    """
    for table in tables.double():
        present = table.sum(1) > 0
        scores, classes = [], []
        for part in counts.split(PLAIN_ROWS, dim=1):
            rows = part.double().transpose(0, 1)
            lengths = rows.norm(dim=2) * table.norm(dim=1)
            cosine = (rows * table).sum(2) / lengths.clamp(min=1e-8)
            pixels = rows.sum(2) + table.sum(1)
            distance = (rows - table).abs().sum(2) / pixels.clamp(min=1)
            similarity = (cosine + 1 - distance) / 2 * present
            areas, area = rows.sum(2), table.sum(1)
            k = areas @ area / (areas.norm(dim=1) * area.norm()).clamp(min=1e-8)
            scores.append(k * similarity.sum(1))
            classes.append(similarity)
        scores, classes = torch.cat(scores), torch.cat(classes)
        best = int(scores.argmax())
        yield best, float(scores[best] / present.sum()), classes[best]
