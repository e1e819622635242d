import json
import os

import numpy as np
import pytest
import torch

from mmseg_uda.datasets.importance_sampling import (
    FORMAT,
    ImportanceSampling,
    cumulative_probabilities,
    importance_weights,
)
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from mmseg_uda.random import counter_random
from tests.datasets.test_domain import sources, targets  # noqa: F401

CLASSES = 'road', 'car', 'rider', 'train'
# Pixels of each class in the predictions for five images; none of class 3.
COUNTS = np.array([[8, 0, 1, 0], [4, 4, 0, 0], [4, 4, 0, 0], [0, 8, 0, 0], [16, 0, 0, 0]])
NAMES = [f'a_{number}_leftImg8bit.png' for number in range(5)]


class Images(list):
    """A data set of images of these names."""

    metainfo = dict(classes=CLASSES)

    def get_data_info(self, index: int) -> dict:
        return {'img_path': f'folder/{self[index]}'}


def nested(weights: np.ndarray, names: list[str] = NAMES, key: type = str) -> dict:
    return {
        name: {key(c): share for c, share in enumerate(row) if share}
        for name, row in zip(names, weights, strict=True)
    }


def write_json(path, **changes) -> str:
    content = dict(format=FORMAT, classes=CLASSES, provenance={})
    weights = nested(importance_weights(COUNTS))
    path.write_text(json.dumps(content | dict(weights=weights) | changes))
    return str(path)


def write_published(path, names: list[str] | None = None, **options) -> str:
    names = names or [name.replace('_leftImg8bit', '_gtFine_labelIds') for name in NAMES]
    torch.save(nested(importance_weights(COUNTS), names, np.uint8), path, **options)
    return str(path)


def probabilities(sampling: ImportanceSampling) -> np.ndarray:
    return np.diff(sampling.cumulative, prepend=0)


def test_weights_are_shares_of_a_class():
    weights = importance_weights(COUNTS)
    np.testing.assert_array_equal(weights[:, 0], COUNTS[:, 0] / 32)
    np.testing.assert_array_equal(weights[:, 2:], [[1, 0]] + [[0, 0]] * 4)


@pytest.mark.parametrize('write', [write_json, write_published])
def test_the_probabilities_of_both_formats(tmp_path, write):
    path = write(tmp_path / f'weights{".json" if write is write_json else ".data"}')
    sampling = ImportanceSampling(Images(NAMES), path, uniform_classes=[1])
    expected = 0.05 + 0.75 * importance_weights(COUNTS).T
    expected[[1, 3]] = 0.2  # not evaluated; never predicted
    np.testing.assert_allclose(probabilities(sampling), expected, rtol=1e-12)
    backwards = ImportanceSampling(Images(NAMES[::-1]), path, uniform_classes=[1])
    np.testing.assert_allclose(probabilities(backwards), expected[:, ::-1], rtol=1e-12)


@pytest.mark.parametrize('legacy', [False, True])
def test_published_files_have_numpy_scalars(tmp_path, legacy):
    """NumPy 1 called the constructor of its numbers by another name."""
    path = tmp_path / 'cs_weights.data'
    write_published(path, _use_new_zipfile_serialization=not legacy)
    if legacy:
        content = path.read_bytes()
        assert b'numpy._core.multiarray' in content
        path.write_bytes(content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    table = probabilities(ImportanceSampling(Images(NAMES), str(path), uniform_share=0.0))
    np.testing.assert_allclose(table[:3], importance_weights(COUNTS).T[:3], atol=1e-12)


def test_without_a_file_all_images_are_equally_probable():
    table = probabilities(ImportanceSampling(Images(NAMES)))
    np.testing.assert_allclose(table, 0.2, rtol=1e-12)


def chi_square(drawn: np.ndarray, expected: np.ndarray) -> float:
    return float(((drawn - expected) ** 2 / expected).sum())


def test_images_are_drawn_with_these_probabilities(tmp_path):
    """Chi-square of each class with 4 degrees of freedom: the 99.9 % quantile is 18.47."""
    path = write_json(tmp_path / 'weights.json')
    sampling = ImportanceSampling(Images(NAMES), path, uniform_classes=[1])
    drawn, number = np.zeros((4, 5)), 2000
    for position in range(4 * number):
        with counter_random(0, position, 1):
            index, entries = sampling.draw(0, position)
        assert entries == {}
        drawn[position % 4, index] += 1
    assert (drawn.sum(1) == number).all()
    expected = number * probabilities(sampling)
    for counts, wanted in zip(drawn, expected, strict=True):
        assert chi_square(counts, wanted) < 18.47
    assert chi_square(drawn[0], expected[1]) > 100  # the test can tell the classes apart


def test_the_ends_of_the_range_of_a_draw():
    sampling = ImportanceSampling(Images(NAMES))
    assert sampling.index(0, 0.0) == 0 and sampling.index(0, np.nextafter(1, 0)) == 4
    sums = sampling.cumulative[2]
    assert sampling.index(6, sums[1] / sums[-1]) == 1  # not beyond the sum itself


def refused(path, match, images=NAMES, **options):
    with pytest.raises(UserError, match=match) as error:
        ImportanceSampling(Images(images), path, **options)
    assert '\n' not in str(error.value)


def test_weights_of_other_images_are_refused(tmp_path):
    json_file = write_json(tmp_path / 'weights.json')
    published = write_published(tmp_path / 'weights.data')
    for path, name in ((json_file, NAMES[4]), (published, 'a_4_gtFine_labelIds.png')):
        refused(path, f'of 5 images, not of the 4 target images .{name} is no', NAMES[:4])
    refused(json_file, r'5 images, not of the 6 .*\(b is missing\)', [*NAMES, 'b'])
    refused(json_file, r'two target images have the file name a_0', [NAMES[0], *NAMES])
    names = [name.replace('_leftImg8bit', '') for name in NAMES]
    path = write_published(tmp_path / 'renamed.data', names)
    assert ImportanceSampling(Images(names), path).cumulative.shape == (4, 5)


def test_other_classes_are_refused(tmp_path):
    path = write_json(tmp_path / 'weights.json', classes=['road', 'car'])
    refused(path, '2 classes, the target data set has 4: compute')
    path = write_json(tmp_path / 'weights.json', classes=['road', 'bus', 'rider', 'train'])
    refused(path, r'4 classes, the target data set has 4 \("bus" in place of "car"\)')
    weights = nested(importance_weights(COUNTS)) | {NAMES[1]: {'4': 1.0}}
    path = write_json(tmp_path / 'weights.json', weights=weights)
    refused(path, 'a_1_leftImg8bit.png has a weight for class 4, .* 4 classes')


def test_shares_that_do_not_sum_to_one_are_refused(tmp_path):
    weights = importance_weights(COUNTS)
    weights[:, 1] *= 1.0011
    path = write_json(tmp_path / 'weights.json', weights=nested(weights))
    refused(path, r'the shares of class 1 \(car\) sum to 1.0011, not to 1: compute')
    weights[:, 1] /= 1.0003
    ImportanceSampling(Images(NAMES), write_json(tmp_path / 'ok.json', weights=nested(weights)))


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('{', 'Expecting property name'),
        ('[]', "no attribute 'get'"),
        ('{"format": "other"}', 'its format is not'),
        (f'{{"format": "{FORMAT}", "classes": []}}', "it has no 'weights'"),
        (f'{{"format": "{FORMAT}", "classes": [], "weights": 3}}', 'not iterable'),
    ],
)
def test_damaged_json(tmp_path, text, match):
    path = tmp_path / 'weights.json'
    path.write_text(text)
    refused(str(path), f'weights.json is not a file of importance weights .*{match}')


@pytest.mark.parametrize('share', [-0.1, float('nan'), 'much', None])
def test_bad_shares(tmp_path, share):
    weights = nested(importance_weights(COUNTS)) | {NAMES[2]: {'0': share}}
    refused(write_json(tmp_path / 'weights.json', weights=weights), r'\(a_2_leftImg8bit.png: ')


def test_missing_and_damaged_published_files(tmp_path):
    refused(str(tmp_path / 'no.json'), 'no.json cannot be read .*mmseg-uda importance-weights')
    refused(str(tmp_path / 'no.data'), 'no.data does not exist')
    path = tmp_path / 'weights.data'
    content = (tmp_path / write_published(path)).read_bytes()
    path.write_bytes(content[:300])
    refused(str(path), 'weights.data is damaged')
    torch.save([1, 2], path)
    refused(str(path), 'weights.data is not a file of importance weights .*mapping of file names')


class Code:
    def __reduce__(self):
        return os.mkdir, ('made',)


def test_code_in_a_published_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'a_0_gtFine_labelIds.png': Code()}, 'weights.data')
    refused('weights.data', 'weights.data is not loaded, because that would run code')
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(uniform_share=1.5), 'uniform_share is 1.5'),
        (dict(uniform_classes=[4]), 'uniform_classes has 4, the 4 train ids are 0 to 3'),
        (dict(uniform_classes=[-1]), 'uniform_classes has -1'),
    ],
)
def test_bad_options(options, match):
    refused(None, match, **options)


def test_without_classes_to_be_uniform_nothing_changes():
    weights = importance_weights(COUNTS)
    np.testing.assert_array_equal(
        cumulative_probabilities(weights, 0.25), cumulative_probabilities(weights, 0.25, [])
    )
    np.testing.assert_array_equal(weights, importance_weights(COUNTS))


def test_in_the_stream_of_target_samples(sources, targets, tmp_path):  # noqa: F811
    """Sample n of the stream is drawn for class n mod C; all road is in one image."""
    target, names = targets[0], [f'{index}_leftImg8bit.png' for index in range(4)]
    weights = np.zeros((4, 19))
    weights[3, 0] = weights[1, 1] = 1
    classes = SourceTargetDataset(sources[0]).metainfo['classes']
    path = write_json(tmp_path / 'w.json', classes=classes, weights=nested(weights, names))
    sampling = dict(weights=path, uniform_share=0.0)
    dataset = SourceTargetDataset(sources[0], target, target_sampling=sampling, block=(1, 19))
    for position in range(3):
        first, second, *_ = dataset[position]['target']
        assert first['path'].endswith(names[3]) and second['path'].endswith(names[1])
    plain = SourceTargetDataset(sources[0], target, target_sampling={})
    paths = {plain[position]['target'][0]['path'] for position in range(40)}
    assert len(paths) == 4


def test_weights_are_of_one_data_set(sources, targets, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match='weights of the sampling .* but target is a list: remove'):
        SourceTargetDataset(sources, targets, target_sampling=dict(weights='weights.json'))
    dataset = SourceTargetDataset(sources, targets, target_sampling=dict(uniform_share=0.5))
    kinds = {type(sampling) for sampling in dataset.target.samplings}
    assert kinds == {ImportanceSampling}
