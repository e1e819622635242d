"""The scores of all checkpoints of a training, and the best of them."""

import csv
import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.scores import Scores
from mmseg_uda.files import atomic_write, save_record

RESULTS, BEST = 'test_results.csv', 'model_best.pth'


def checkpoints_below(folder: Path) -> dict[int, Path]:
    """Map iteration to checkpoint, ``iter_<n>.pth`` or SDCA's ``model_iter<n>.pth``, in order.

    Raises:
        UserError: the folder has no checkpoint.
    """
    found = {
        int(match[1]): path
        for path in folder.glob('*.pth')
        if (match := re.fullmatch(r'(?:model_iter|iter_)(\d+)\.pth', path.name))
    }
    if not found:
        raise UserError(f'{folder}: no checkpoint iter_<n>.pth (or model_iter<n>.pth) in it')
    return dict(sorted(found.items()))


def save_results(
    folder: Path, checkpoints: dict[int, Path], scores: Sequence[Scores], classes: Sequence[str]
) -> None:
    """Write the evaluation results of several checkpoints.

    ``test_results.csv`` has a row of fractions per checkpoint and a sentence about the best one, of
    which ``model_best.pth`` is a copy. ``scores.json`` and ``scores.csv`` are copied from
    ``folder/<stem of the last checkpoint>``; the best mIoU is added as ``best``.

    Args:
        checkpoints: iteration -> file.
        scores: of each checkpoint.
        classes: names of the classes.
    """
    iterations, paths = list(checkpoints), list(checkpoints.values())
    best = int(np.argmax([score.miou for score in scores]))
    text = io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    subsets = list(scores[0].subsets)
    table.writerow(['iters', 'mIoU', *subsets, *classes])
    for iteration, score in zip(iterations, scores, strict=True):
        means = [mean.iou for mean in score.means().values()]
        cells = [
            '' if np.isnan(value) else round(float(value), 6) for value in [*means, *score.iou]
        ]
        table.writerow([iteration, *cells])
    text.write(f'Best: iteration {iterations[best]} with mIoU {scores[best].miou:.4f}\n')
    with atomic_write(folder / RESULTS, 'w') as file:
        file.write(text.getvalue())
    with atomic_write(folder / BEST) as file, open(paths[best], 'rb') as source:
        shutil.copyfileobj(source, file)
    last = folder / paths[-1].stem
    content = json.loads((last / 'scores.json').read_text())
    content['best'] = {'mIoU': 100 * scores[best].miou, 'checkpoint': str(paths[best].resolve())}
    save_record(folder / 'scores.json', content)
    with atomic_write(folder / 'scores.csv', 'w') as file:
        file.write((last / 'scores.csv').read_text())
