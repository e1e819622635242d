"""Importance sampling and lists of files of DA-SAC."""

import hashlib
import re
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch

from mmseg_uda.datasets.importance_sampling import ImportanceSampling, importance_weights
from mmseg_uda.datasets.segmentation import read_list
from tests.golden.inputs import arrays
from tests.golden.registry import Params, Results, golden

PREDICTIONS = '*labelIds.png'
IGNORE = 255
# The numbers in the published lists. Nothing computes them; what is tested is that lists that are
# written from them have the published bytes and are read back.
LISTS = Path(__file__).parents[1] / 'data/dasac/lists.npz'


class Images(list):
    """A data set of images of these names, as far as its sampling needs it."""

    def __init__(self, names: list[str], num_classes: int) -> None:
        super().__init__(names)
        self.metainfo = dict(classes=[str(number) for number in range(num_classes)])

    def get_data_info(self, index: int) -> dict:
        return {'img_path': self[index]}


@golden('importance_weights')
def weights_and_draws(params: Params, inputs: Params) -> Results:
    """The weights are read back from a published file."""
    number, pairs = params['num_classes'], zip(params['files'], inputs['predictions'], strict=True)
    predictions = {name: image for name, image in pairs if fnmatch(name, PREDICTIONS)}
    counts = [
        np.bincount(image[image != IGNORE], minlength=number) for image in predictions.values()
    ]
    weights = {
        name: {np.uint8(c): share for c, share in enumerate(shares) if share}
        for name, shares in zip(predictions, importance_weights(np.stack(counts)), strict=True)
    }
    names = [name.replace('_gtFine_labelIds', '_leftImg8bit') for name in predictions]
    images, share = Images(names, number), params['uniform_prior']
    with tempfile.TemporaryDirectory() as folder:
        file = f'{folder}/weights.data'
        torch.save(weights, file)
        sampling = ImportanceSampling(images, file, share, params['ignored_classes'])
    draws = zip(inputs['draw_index'].tolist(), inputs['draw_uniform'].tolist(), strict=True)
    return {
        'weights': {
            name: {str(c): float(share) for c, share in shares.items()}
            for name, shares in weights.items()
        },
        'cumulative': sampling.cumulative,
        'cumulative_uniform': ImportanceSampling(images, None, share).cumulative,
        'selected': np.array([sampling.index(*draw) for draw in draws]),
    }


@golden('file_lists')
def file_lists(params: Params, inputs: Params) -> Results:
    results, cities = {}, params['cities']
    for name, pattern in params['patterns'].items():
        numbers = arrays(LISTS)[f'lists/numbers.{name}']
        rows = numbers.reshape(len(numbers), -1).tolist()
        lines = [
            pattern.format(*row, city=cities[row[0]] if '{city}' in pattern else '') for row in rows
        ]
        with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
            file.writelines(f'{line}\n' for line in lines)
            file.flush()
            results[f'sha256.{name}'] = hashlib.sha256(Path(file.name).read_bytes()).hexdigest()
            entries = read_list(file.name)
        read = [' '.join(filter(None, columns)) for _, *columns in entries]
        results[f'numbers.{name}'] = np.array(parsed(read, pattern, cities)).reshape(numbers.shape)
    return results


def parsed(lines: list[str], pattern: str, cities: list[str]) -> list[list[int]]:
    """The numbers of each line of a list."""
    expression, known = '', set()
    for text, field in re.findall(r'([^{]*)(?:\{(\w+)[^}]*\})?', pattern):
        expression += re.escape(text)
        if field:
            group = f'n{field}'
            expression += f'(?P={group})' if group in known else rf'(?P<{group}>\w+?)'
            known.add(group)
    rows = []
    for line in lines:
        values = re.fullmatch(expression, line).groupdict()
        city = [cities.index(values.pop('ncity'))] if 'ncity' in values else []
        rows.append(city + [int(values[group]) for group in sorted(values)])
    return rows
