"""Comparison of several runs: a table of scores and a picture of predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmseg_uda.datasets.labels import LABEL_VALUES
from mmseg_uda.errors import UserError
from mmseg_uda.files import load_record

MEANS = ('mIoU', 'mIoU16', 'mIoU13')
GAP, TITLE = 4, 16  # pixels between tiles; height of the titles in pixels


def read_scores(path: str | Path) -> dict[str, Any]:
    """Read a ``scores.json``.

    Raises:
        UserError: the file is missing, holds no scores, or is of a newer version.
    """
    scores = load_record(path, 'a file of scores', 'run mmseg-uda test again', ('mIoU', 'classes'))
    if scores is None:
        raise UserError(f'{path} does not exist; mmseg-uda test --eval mIoU writes it')
    return scores


def comparison_rows(runs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Rows of a table: IoU in percent of each class and mean, one column per run.

    With several runs, the last column is the difference between the last and the first run.
    """
    first, *_, last = list(runs.values()) * 2
    rows = [['class', *runs, *(['gain'] if len(runs) > 1 else [])]]
    for name in first['classes']:
        values = [run['classes'].get(name, {}).get('IoU') for run in runs.values()]
        rows.append([name, *map(_text, values)])
    for name in MEANS:
        if name in first:
            rows.append([name, *(_text(run.get(name)) for run in runs.values())])
    if len(runs) > 1:
        for row in rows[1:]:
            known = '-' not in (row[1], row[-1])
            row.append(f'{float(row[-1]) - float(row[1]):+.2f}' if known else '-')
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '| '
        + ' | '.join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + ' |'
        for row in rows
    ]
    rule = ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])]
    return '\n'.join([lines[0], '| ' + ' | '.join(rule) + ' |', *lines[1:]]) + '\n'


def comparison_picture(
    titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]], tile_width: int = 320
) -> Image.Image:
    """Arrange images in a grid below a line of titles.

    Args:
        titles: one per column.
        rows: of RGB images (H, W, 3) uint8, one per title; images of a row have the same size.
        tile_width: width of a column in pixels; ratios are kept.
    """
    tiles = [[_scaled(image, tile_width) for image in row] for row in rows]
    height = TITLE + sum(row[0].height + GAP for row in tiles)
    width = len(titles) * (tile_width + GAP) - GAP
    picture = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(titles):
        draw.text((column * (tile_width + GAP) + GAP, 2), title, fill='black')
    top = TITLE
    for row in tiles:
        for column, tile in enumerate(row):
            picture.paste(tile, (column * (tile_width + GAP), top))
        top += row[0].height + GAP
    return picture


def coloured(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colour train ids (H, W): RGB (H, W, 3) uint8; ids that are no class are black."""
    colours = np.zeros((LABEL_VALUES, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[label]


def _scaled(image: np.ndarray, width: int) -> Image.Image:
    height = round(image.shape[0] * width / image.shape[1])
    smaller = width < image.shape[1]
    how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return Image.fromarray(image).resize((width, height), how)


def _text(percent: float | None) -> str:
    return '-' if percent is None else f'{percent:.2f}'
