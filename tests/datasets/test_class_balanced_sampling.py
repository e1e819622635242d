import json
import pickle

import numpy as np
import pytest

from mmseg_uda.datasets.class_balanced_sampling import (
    ClassBalancedSampling,
    balanced_order,
    read_label_info,
)
from mmseg_uda.datasets.domain import load_sample
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.errors import UserError
from tests.datasets.conftest import stripes, write_image, write_train_ids

SAMPLES = [dict(img_path=f'x/{i}.png', seg_map_path=f'y/{i}_labelTrainIds.png') for i in range(20)]


def sampling(tmp_path, by_class, num_classes=3, label_map=None, **options):
    names = {c: [[f'y/{i}_labelTrainIds.png', 5] for i in files] for c, files in by_class.items()}
    (tmp_path / 'samples_with_class.json').write_text(json.dumps(names))
    made = ClassBalancedSampling(str(tmp_path), **options)
    made.find_files(SAMPLES, num_classes, label_map)
    return made


def test_rare_classes_are_drawn_more_often_than_they_occur(tmp_path):
    made = sampling(tmp_path, {0: range(20), 1: range(10), 2: [3]}, sub_epoch=500)
    drawn = np.array([made.draw(0, position)[0] for position in range(500)])
    assert (drawn == 3).mean() > 0.15  # one of 20 images
    assert len(set(drawn.tolist())) == 20


def test_a_position_does_not_depend_on_those_before_it(tmp_path):
    made = sampling(tmp_path, {0: range(20), 1: range(10), 2: [3]}, sub_epoch=50)
    forward = [made.draw(7, position) for position in range(200)]
    again = sampling(tmp_path, {0: range(20), 1: range(10), 2: [3]}, sub_epoch=50)
    assert [again.draw(7, position) for position in reversed(range(200))] == forward[::-1]
    assert [made.draw(8, position) for position in range(200)] != forward
    assert forward[:50] != forward[50:100]


def test_order_alternates_when_each_image_has_one_class():
    """After each class once, the next share is the least of those that were drawn less."""
    presence = np.eye(2, dtype=bool)
    order = balanced_order([np.array([0]), np.array([1])], presence, 2000, np.random.RandomState(0))
    assert abs(order.mean() - 0.5) < 0.05


def test_classes_without_images_and_with_one_are_no_trouble():
    presence = np.zeros((3, 4), bool)
    presence[[0, 1, 2], [0, 0, 2]] = True
    files = [np.flatnonzero(column) for column in presence.T]
    order = balanced_order(files, presence, 300, np.random.RandomState(0))
    assert set(order.tolist()) == {0, 1, 2}


def test_ids_are_mapped_as_the_data_sets_are(tmp_path):
    made = sampling(tmp_path, {0: [0], 9: [1], 18: [2]}, 2, {0: 0, 9: 255, 18: 1})
    assert made.presence.sum() == 2 and made.presence[0, 0] and made.presence[2, 1]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'not found; make it with'),
        ('{', 'damaged'),
        ('{"0": [["y/77_labelTrainIds.png", 5]]}', '77_labelTrainIds.png, which is not among'),
        ('{}', 'no labelled pixels'),
    ],
)
def test_bad_statistics(tmp_path, content, message):
    if content is not None:
        (tmp_path / 'samples_with_class.json').write_text(content)
    with pytest.raises(UserError, match=message):
        ClassBalancedSampling(str(tmp_path)).find_files(SAMPLES, 3)


def test_equal_names_are_refused(tmp_path):
    (tmp_path / 'samples_with_class.json').write_text('{"0": []}')
    with pytest.raises(UserError, match='share one'):
        ClassBalancedSampling(str(tmp_path)).find_files([SAMPLES[0], SAMPLES[0]], 3)


def test_published_statistics(tmp_path):
    path = tmp_path / 'gtav_label_info.p'
    content = ([['0.png', '2.png'], ['1.png']], {'0.png': [0], '1.png': [1], '2.png': [0]})
    path.write_bytes(pickle.dumps(content))
    assert read_label_info(path) == {0: ['0.png', '2.png'], 1: ['1.png']}
    made = ClassBalancedSampling('nowhere', label_info=str(path))
    made.find_files(SAMPLES, 2, {0: 1, 1: 255})  # not mapped: the file has the data set's ids
    np.testing.assert_array_equal(np.argwhere(made.presence), [[0, 0], [1, 1], [2, 0]])


class Harmful:
    def __reduce__(self):
        return print, ('code has run',)


@pytest.mark.parametrize('content', [pickle.dumps(Harmful()), b'no pickle', pickle.dumps(3)])
def test_other_pickles_are_refused_unread(tmp_path, content, capsys):
    path = tmp_path / 'label_info.p'
    path.write_bytes(content)
    with pytest.raises(UserError, match='not the label statistics'):
        read_label_info(path)
    assert 'code has run' not in capsys.readouterr().out


@pytest.fixture
def data(tmp_path):
    """Ten sources of 24 x 32 pixels, one with a rare class, and two targets of 16 x 40."""
    by_class: dict[int, list] = {0: [], 1: []}
    for i in range(10):
        write_image(tmp_path / f'images/{i}.png', (24, 32), i)
        classes = [0, 9] if i == 4 else [0, 9, 0] if i else [0, 1]
        write_train_ids(tmp_path / f'labels/{i}_labelTrainIds.png', stripes((24, 32), classes))
        for train_id in set(classes):
            by_class.setdefault(train_id, []).append([f'labels/{i}_labelTrainIds.png', 9])
    (tmp_path / 'samples_with_class.json').write_text(json.dumps(by_class))
    for i in range(2):
        write_image(tmp_path / f'target/{i}_leftImg8bit.png', (16, 40), i)
    return tmp_path


def build(data, source_options=None, **options) -> SourceTargetDataset:
    def pipeline(size):
        return [dict(type='FixedResize', size=size), dict(type='PackDomain')]

    root = dict(data_root=str(data))
    prefix = dict(img_path='images', seg_map_path='labels')
    source = dict(root, type='GTADataset', data_prefix=prefix, pipeline=pipeline((16, 12)))
    target = dict(
        root,
        type='CityscapesDataset',
        data_prefix=dict(img_path='target'),
        pipeline=pipeline((20, 8)),
    )
    return SourceTargetDataset(source | (source_options or {}), target, **options)


def test_domains_of_different_size_and_the_rare_class(data):
    dataset = build(data, class_balanced_sampling={})
    samples = [dataset[position] for position in range(60)]
    assert {tuple(s['source'][0]['image'].shape) for s in samples} == {(3, 12, 16)}
    assert {tuple(s['target'][0]['image'].shape) for s in samples} == {(3, 8, 20)}
    assert not any('label' in s['target'][0] for s in samples)
    rare = [bool((s['source'][0]['label'] == 1).any()) for s in samples]
    assert np.mean(rare) > 0.2  # one image of ten


def test_both_samplings_at_once_are_refused(data):
    (data / 'sample_class_stats.json').write_text(
        '[{"0": 9, "file": "labels/0_labelTrainIds.png"}]'
    )
    options = dict(rare_class_sampling=dict(min_pixels=0), class_balanced_sampling={})
    with pytest.raises(UserError, match='choose one'):
        build(data, **options)


def test_sixteen_classes(data):
    """Train id 9 of the files, terrain, is no class of SYNTHIA's; 10, sky, becomes 9."""
    from mmseg_uda.datasets.labels import CLASSES, SYNTHIA_16

    classes = [CLASSES[train_id] for train_id in SYNTHIA_16]
    label = stripes((24, 32), [0, 9, 10, 18])
    write_train_ids(data / 'labels/0_labelTrainIds.png', label)
    dataset = build(data, dict(metainfo=dict(classes=classes)), class_balanced_sampling={})
    assert dataset.num_classes == 16 and len(dataset.metainfo['palette']) == 16
    source = dataset.source
    loaded = load_sample(source.datasets[0], 0)['label']
    assert set(loaded.flatten().tolist()) == {0, 255, 9, 15}
    assert not source.samplings[0].presence[4, 1:].any()  # its other class is terrain
