"""Reports of scores: a table on screen, JSON and CSV files."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from mmseg_uda.evaluation.scores import Scores
from mmseg_uda.files import atomic_write, save_record


def score_table(scores: Scores, classes: Sequence[str], images: int) -> str:
    """Table for the screen: percentages with two decimals, '-' where there is no score."""
    width = max(map(len, ('class', *classes)))
    lines = [f'{"class":{width}}  {"IoU":>6}  {"Acc":>6}  {"pixels":>7}']
    shares = scores.pixels / scores.pixels.sum()
    for name, iou, acc, share in zip(classes, scores.iou, scores.acc, shares, strict=True):
        lines.append(f'{name:{width}}  {_text(iou):>6}  {_text(acc):>6}  {_text(share):>6}%')
    lines.append('-' * len(lines[0]))
    for name, mean in scores.means().items():
        which = f'{mean.known} of {mean.classes}' if mean.known < mean.classes else mean.classes
        lines.append(
            f'{name:{width}}  {_text(mean.iou):>6}  {_text(mean.acc):>6}  ({which} classes)'
        )
    lines.append(f'{"aAcc":{width}}  {"":6}  {_text(scores.aacc):>6}  ({images} images)')
    return '\n'.join(lines)


def save_report(folder: str | Path, scores: Scores, classes: Sequence[str], meta: dict) -> None:
    """Write ``scores.json`` and ``scores.csv``: unrounded percentages; NaN is null or empty.

    The JSON file also has the confusion matrix: pixels, one row per true class.

    Args:
        folder: created if needed; files of an earlier evaluation are replaced.
        classes: names of the classes.
        meta: what was evaluated (checkpoint, config, images, ...); stored in the JSON file.

    Raises:
        UserError: the files cannot be written.
    """
    _save_json(Path(folder) / 'scores.json', scores, classes, meta)
    _save_csv(Path(folder) / 'scores.csv', scores, classes)


def _rows(scores: Scores) -> list[dict[str, float | int | None]]:
    return [
        {'IoU': _number(iou), 'Acc': _number(acc), 'pixels': int(pixels)}
        for iou, acc, pixels in zip(scores.iou, scores.acc, scores.pixels, strict=True)
    ]


def _save_json(path: Path, scores: Scores, classes: Sequence[str], meta: dict) -> None:
    content = {
        **{name: _number(mean.iou) for name, mean in scores.means().items()},
        'mAcc': _number(scores.macc),
        'aAcc': _number(scores.aacc),
        'classes': dict(zip(classes, _rows(scores), strict=True)),
        'confusion_matrix': scores.confusion.tolist(),
        'subsets': {name: [classes[i] for i in ids] for name, ids in scores.subsets.items()},
        'meta': meta,
    }
    save_record(path, content)


def _save_csv(path: Path, scores: Scores, classes: Sequence[str]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    table.writerow(['class', 'IoU', 'Acc', 'pixels'])
    table.writerows([name, *row.values()] for name, row in zip(classes, _rows(scores), strict=True))
    for name, mean in scores.means().items():
        table.writerow([name, _number(mean.iou), _number(mean.acc), None])
    table.writerow(['aAcc', None, _number(scores.aacc), scores.pixels.sum()])
    with atomic_write(path, 'w') as file:
        file.write(text.getvalue())


def _number(fraction: float) -> float | None:
    return None if math.isnan(fraction) else 100 * float(fraction)


def _text(fraction: float) -> str:
    return '-' if math.isnan(fraction) else f'{100 * fraction:.2f}'
