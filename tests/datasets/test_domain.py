"""Domains of several data sets with weights."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmseg_uda.datasets.segmentation import sample_info
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.datasets.statistics import write_statistics
from mmseg_uda.errors import UserError
from mmseg_uda.random import counter_random
from tests.datasets.conftest import stripes, write_image, write_train_ids

SIZE = 48, 96


def pipeline(**crop):
    return [
        dict(type='LabelFirstCrop', scale=(96, 48), crop_size=(32, 32), **crop),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ]


def write_source(root, classes: list[list[int]]) -> dict:
    """A GTA data set of images with these classes, and its statistics."""
    samples = []
    for number, of_image in enumerate(classes):
        write_image(root / f'images/{number}.png', SIZE, number)
        label, name = stripes(SIZE, of_image), f'labels/{number}_labelTrainIds.png'
        write_train_ids(root / name, label)
        samples.append((name, np.bincount(label.ravel(), minlength=256)[:19].tolist()))
    write_statistics(root, samples)
    prefix = dict(img_path='images', seg_map_path='labels')
    return dict(type='GTADataset', data_root=str(root), data_prefix=prefix, pipeline=pipeline())


def write_target(root, number: int) -> dict:
    for index in range(number):
        write_image(root / f'images/{index}_leftImg8bit.png', SIZE, 50 + index)
    prefix = dict(img_path='images')
    return dict(type='CityscapesDataset', data_root=str(root), data_prefix=prefix) | dict(
        pipeline=pipeline(margins=(4, 8, 4, 4))
    )


@pytest.fixture
def sources(tmp_path) -> list[dict]:
    """Five images of road and car; three of road and building, one of them with a rider."""
    one = write_source(tmp_path / 'one', [[0, 13]] * 5)
    return [one, write_source(tmp_path / 'two', [[0, 2], [0, 2], [2, 2, 2, 12]])]


@pytest.fixture
def targets(tmp_path) -> list[dict]:
    return [write_target(tmp_path / 'day', 4), write_target(tmp_path / 'night', 2)]


def equal(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(one[key], two[key]) if torch.is_tensor(one[key]) else one[key] == two[key]
        for key in one
    )


def origin(sample: dict) -> str:
    """Folder of the data set that a sample is of."""
    return Path(sample['path']).parts[-3]


def test_a_single_data_set_is_drawn_from_its_own_stream(sources, targets):
    """The draws that trained all weights: (seed, position, 0 or 1), the image, then its crop."""
    dataset = SourceTargetDataset(sources[0], targets[0], seed=3)
    for position in (0, 7, 10**6):
        for stream, domain in enumerate(dataset.domains):
            (only,) = domain.datasets
            with counter_random(3, position, stream):
                expected = only.pipeline(sample_info(only, np.random.randint(len(only))))
            (sample,) = dataset[position][domain.name]
            assert equal(sample, expected)


@pytest.mark.parametrize(
    'sampling',
    [
        {},
        dict(rare_class_sampling=dict(class_temp=1.0, min_pixels=20)),
        dict(class_balanced_sampling={}),
    ],
    ids=['uniform', 'rare', 'balanced'],
)
def test_a_sample_of_a_list_is_that_of_its_data_set_alone(sources, targets, sampling):
    given = sources, targets
    both = SourceTargetDataset(*given, seed=3, **sampling)
    of_source, of_target = ({Path(c['data_root']).name: c for c in each} for each in given)
    single = {
        (one, two): SourceTargetDataset(of_source[one], [of_target[two]], seed=3, **sampling)
        for one, two in itertools.product(of_source, of_target)
    }
    drawn = set()
    for position in range(24):
        sample = both[position]
        pair = origin(sample['source'][0]), origin(sample['target'][0])
        drawn.add(pair)
        for name in ('source', 'target'):
            assert equal(sample[name][0], single[pair][position][name][0])
    assert len(drawn) == 4


@pytest.mark.parametrize('weights', [(None, None), (3, None), (0.5, 4.5)])
def test_data_sets_are_drawn_by_weight(sources, targets, weights):
    """The choice depends on neither the sizes of the data sets nor the other domain."""
    given = [
        config if weight is None else config | dict(weight=weight)
        for config, weight in zip(sources, weights, strict=True)
    ]
    dataset = SourceTargetDataset(given, targets, seed=1)
    for domain in dataset.domains:  # without loading files
        for one in domain.datasets:
            one.pipeline = lambda info: {'path': info['img_path']}
    samples = [dataset[position] for position in range(3000)]
    first, second = (weight or 1 for weight in weights)
    share = np.mean([origin(sample['source'][0]) == 'one' for sample in samples])
    assert abs(share - first / (first + second)) < 0.03
    day = np.array([origin(sample['target'][0]) == 'day' for sample in samples])
    assert abs(day.mean() - 0.5) < 0.03
    one = np.array([origin(sample['source'][0]) == 'one' for sample in samples])
    assert abs(day[one].mean() - 0.5) < 0.06


def test_length(sources, targets):
    assert len(SourceTargetDataset(sources)) == 8
    assert len(SourceTargetDataset(sources, targets)) == 8 * 6


def test_rare_classes_are_those_of_the_data_set(sources):
    """Rider is in one image of the second data set alone, car in the first alone."""
    sampling = dict(class_temp=0.01, min_pixels=20)
    dataset = SourceTargetDataset(sources, rare_class_sampling=sampling)
    assert [set(one.classes) for one in dataset.source.samplings] == [{0, 13}, {0, 2, 12}]
    second = [s for s in (dataset[i]['source'][0] for i in range(60)) if origin(s) == 'two']
    assert np.mean([bool((sample['label'] == 12).any()) for sample in second]) > 0.9


def test_batches_do_not_depend_on_workers_or_where_a_run_resumes(sources, targets):
    """The sampler of a resumed run skips the samples before it."""
    runs = []
    for workers, start in ((0, 0), (2, 0), (0, 4)):
        loader = Runner.build_dataloader(
            dict(
                dataset=dict(type='SourceTargetDataset', source=sources, target=targets, seed=5),
                sampler=dict(type='PositionSampler', batch_size=2),
                batch_size=2,
                num_workers=workers,
                collate_fn=dict(type='collate_domains'),
            ),
            seed=workers,
        )
        loader.sampler.skip(start)
        runs.append(list(itertools.islice(loader, 4)))
    for one, two in zip(runs[0], runs[1], strict=True):
        assert all(equal(one[name], two[name]) for name in ('source', 'target'))
    for one, two in zip(runs[0][2:], runs[2][:2], strict=True):
        assert torch.equal(one['position'], two['position'])
        assert all(equal(one[name], two[name]) for name in ('source', 'target'))


def test_warnings_count_all_source_labels_together(sources):
    (warning,) = SourceTargetDataset(sources).source_warnings()
    assert 'is in the 8 source labels: 1 (sidewalk), 3 (wall)' in warning
    assert '13 (car)' not in warning and '2 (building)' not in warning


@pytest.mark.parametrize('weight', [0, -1.0, 'much', True, float('nan'), float('inf')])
def test_bad_weights(sources, weight):
    with pytest.raises(UserError, match=r'source: the weight .*two is .*a number above 0'):
        SourceTargetDataset([sources[0], sources[1] | dict(weight=weight)])


def test_bad_lists(sources, targets):
    with pytest.raises(UserError, match='target is an empty list'):
        SourceTargetDataset(sources, [])
    three = sources[1] | dict(metainfo=dict(classes=('road', 'building', 'rider')))
    with pytest.raises(UserError, match=r'source\.1 has the classes road, building, rider; source'):
        SourceTargetDataset([sources[0], three])
    with pytest.raises(UserError, match='source data set has no labels'):
        SourceTargetDataset([sources[0], targets[0]])
    for sampling in ('rare_class_sampling', 'class_balanced_sampling'):
        options = {sampling: dict(data_root=sources[0]['data_root'])}
        with pytest.raises(UserError, match='data_root of the sampling .* source is a list'):
            SourceTargetDataset(sources, **options)
