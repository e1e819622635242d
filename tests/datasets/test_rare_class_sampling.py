import numpy as np
import pytest

from mmseg_uda.datasets.rare_class_sampling import (
    RareClassSampling,
    class_probabilities,
    files_by_class,
)
from mmseg_uda.datasets.statistics import write_statistics
from mmseg_uda.errors import UserError

STATS = [
    {'0': 6000, '5': 100, 'file': 'x/a.png'},
    {'0': 3000, '7': 900, 'file': 'x/b.png'},
]


def write(folder, *counts):
    """Statistics of files 0.png, 1.png, ... with the given {class: pixels}."""
    samples = []
    for number, pixels in enumerate(counts):
        row = [pixels.get(train_id, 0) for train_id in range(19)]
        samples.append((f'data/labels/{number}.png', row))
    write_statistics(folder, samples)


def test_probabilities():
    classes, probabilities = class_probabilities(STATS, 0.1)
    assert classes == [5, 7, 0]  # rare first, absent classes left out
    weights = np.exp((1 - np.array([100, 900, 9000]) / 10000) / 0.1)
    np.testing.assert_allclose(probabilities, weights / weights.sum())
    np.testing.assert_allclose(class_probabilities(STATS, 1e-6)[1], [1, 0, 0])
    np.testing.assert_allclose(class_probabilities(STATS, float('inf'))[1], [1 / 3] * 3)


def test_files_need_more_than_min_pixels():
    samples = {'3': [['x/y/a.png', 10], ['x/b.png', 11]]}
    assert files_by_class(samples, 10) == {3: ['b.png']}


def test_draws_follow_the_probabilities(tmp_path):
    write(tmp_path, {0: 900, 5: 40}, {0: 900}, {0: 900, 5: 60})
    sampling = RareClassSampling(str(tmp_path), class_temp=1.0, min_pixels=30)
    sampling.find_files([f'elsewhere/{number}.png' for number in (2, 1, 0)])
    np.random.seed(0)
    drawn = [sampling.draw(0, 0) for _ in range(2000)]
    assert {entries['rare_class'][1] for _, entries in drawn} == {15}
    draws = np.array([(entries['rare_class'][0], index) for index, entries in drawn])
    assert set(draws[draws[:, 0] == 5, 1]) == {0, 2}  # indices in the dataset
    assert set(draws[draws[:, 0] == 0, 1]) == {0, 1, 2}
    share = sampling.probabilities[sampling.classes.index(5)]
    assert abs((draws[:, 0] == 5).mean() - share) < 0.03


def test_class_without_a_file_is_named(tmp_path):
    write(tmp_path, {0: 9000, 6: 2000})
    with pytest.raises(UserError, match='samples_with_class.json: .*3000 pixels of class 6'):
        RareClassSampling(str(tmp_path))


def test_missing_or_damaged_statistics(tmp_path):
    with pytest.raises(UserError, match='sample_class_stats.json: not found.*mmseg-uda convert'):
        RareClassSampling(str(tmp_path))
    write(tmp_path, {0: 9000})
    (tmp_path / 'samples_with_class.json').write_text('{"0": [')
    with pytest.raises(UserError, match='samples_with_class.json: damaged'):
        RareClassSampling(str(tmp_path))


def test_empty_statistics(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match='sample_class_stats.json: no labelled pixels'):
        RareClassSampling(str(tmp_path))


def test_statistics_of_other_files(tmp_path):
    write(tmp_path, {0: 9000})
    sampling = RareClassSampling(str(tmp_path))
    with pytest.raises(UserError, match='lists 0.png, which is not among the 1 label files'):
        sampling.find_files(['a/other.png'])
    with pytest.raises(UserError, match='a/0.png: another label file has the same name'):
        sampling.find_files(['a/0.png', 'b/0.png'])
