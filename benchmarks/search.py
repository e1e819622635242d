"""How much time and memory CDDA's search costs, and whether it is the plain formula."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.step import peak_bytes, seconds
from mmseg_uda.datasets.depth_bank import COUNTS, RECORD, ROWS, write_counts
from mmseg_uda.files import save_record, sha256
from mmseg_uda.uda.components.depth_similarity import (
    NUM_BINS,
    DepthSimilarity,
    Match,
    distribution_tables,
)

NUM_CLASSES = 19
PLAIN_ROWS = 500  # for which the plain formula holds tables of all classes at a time


@dataclass
class Cost:
    """Of a search, per image: seconds, and those of the process on its cores (medians).

    Beside a busy machine's other work the latter says what the search itself takes. ``peak``:
    bytes beyond bank and target tables, for all images together.
    """

    seconds: float
    cpu_seconds: float
    peak: int


def synthetic_bank(rows: int, generator: torch.Generator) -> Tensor:
    """Counts (C, N, D): 61 % of the class rows have pixels, those in 41 % of the bins."""
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
        scale: to which the image, of GTA's size, is resized, see ``LabelFirstCrop``.
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
    """Tables (B, C, D) of pseudo-labels with so many classes in squares, each around a depth."""
    chosen = torch.randperm(NUM_CLASSES, generator=generator)[:classes]
    squares = torch.randint(0, classes, (images, size // 16, size // 16), generator=generator)
    squares.flatten(1)[:, :classes] = torch.arange(classes)
    labels = chosen[squares].repeat_interleave(16, 1).repeat_interleave(16, 2)
    noise = torch.randn(images, size, size, generator=generator)
    depth = (12.0 * labels + 20 + 10 * noise).clamp(0, 255)
    return distribution_tables(labels, depth, NUM_CLASSES)


@torch.no_grad()
def search_visits(banks: list[DepthSimilarity], tables: Tensor) -> tuple[Tensor, Tensor]:
    """Best row and mean similarity (B,) each in banks that follow each other."""
    found: list[Match] = [bank.search(tables) for bank in banks]
    best = torch.stack([match.similarity for match in found])
    similarity, place = best.max(dim=0)
    rows = torch.stack([match.rows for match in found]).gather(0, place.unsqueeze(0)).squeeze(0)
    return rows + place * banks[0].counts.shape[1], similarity


def measure_search(
    rows: int, images: int, repeats: int, in_memory: int, device: str, seed: int = 0
) -> tuple[Cost, tuple[int, float, float]]:
    """Cost of a search, and how it differs from the plain formula.

    Args:
        rows: of the bank. Beyond ``in_memory`` rows the same rows are visited again: what is read
            and computed is that of the large bank, which no memory need hold.
        images: target images per search.

    Returns:
        The cost; images whose best row is another one than the plain formula's, and the largest
        difference of mean similarities and of class similarities.
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
    times, cpu_times = [], []
    for _ in range(repeats):
        start = time.process_time()
        times.append(seconds(run) / images)
        cpu_times.append((time.process_time() - start) / images)
    match, differences = bank.search(tables), (0, 0.0, 0.0)
    for image, (best, similarity, classes) in enumerate(plain_search(bank.counts, tables)):
        differences = (
            differences[0] + int(match.rows[image] != best),
            max(differences[1], abs(float(match.similarity[image]) - similarity)),
            max(differences[2], float((match.class_similarity[image] - classes).abs().max())),
        )
    return Cost(median(times), median(cpu_times), peak_bytes(run)), differences


def plain_search(counts: Tensor, tables: Tensor) -> Iterator[tuple[int, float, Tensor]]:
    """Best row, its mean similarity and class similarities by the formula, in float64.

    For each image of ``tables`` (B, C, D); ``counts`` (C, N, D).
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
