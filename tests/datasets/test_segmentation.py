import numpy as np
import pytest
from mmseg.registry import DATASETS

import mmseg_uda.register  # noqa: F401  (registers datasets and transforms)
from mmseg_uda.datasets.segmentation import build_dataset, check_dataset
from mmseg_uda.errors import UserError
from tests.datasets.conftest import stripes, write_image, write_train_ids

VAL_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 32), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

#: type, image folder, label folder, image and label suffix
LAYOUTS = [
    ('GTADataset', 'images', 'labels', '.png', '_labelTrainIds.png'),
    ('SYNTHIADataset', 'RGB', 'GT/LABELS', '.png', '_labelTrainIds.png'),
    (
        'CityscapesDataset',
        'leftImg8bit/val',
        'gtFine/val',
        '_leftImg8bit.png',
        '_gtFine_labelTrainIds.png',
    ),
    ('DarkZurichDataset', 'rgb_anon/val', 'gt/val', '_rgb_anon.png', '_gt_labelTrainIds.png'),
    ('ACDCDataset', 'rgb_anon/val', 'gt/val', '_rgb_anon.png', '_gt_labelTrainIds.png'),
    (
        'NightDrivingDataset',
        'leftImg8bit/test/night',
        'gtCoarse/test/night',
        '_leftImg8bit.png',
        '_gtCoarse_labelTrainIds.png',
    ),
    ('BDD100KNightDataset', 'images/val', 'labels/val', '.jpg', '_train_id.png'),
]


def make(root, layout):
    kind, images, labels, image_suffix, label_suffix = layout
    for stem in ('b/two', 'a/one'):
        write_image(root / images / f'{stem}{image_suffix}', (64, 128))
        write_train_ids(root / labels / f'{stem}{label_suffix}', stripes((64, 128), [0, 18, 255]))
    prefix = dict(img_path=images, seg_map_path=labels)
    return dict(type=kind, data_root=str(root), data_prefix=prefix, pipeline=VAL_PIPELINE)


@pytest.mark.parametrize('layout', LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_finds_pairs_and_serves_mmsegs_evaluation_pipeline(tmp_path, layout):
    dataset = build_dataset(make(tmp_path, layout))
    assert len(dataset) == 2 and len(dataset.metainfo['classes']) == 19
    assert '/a/one' in dataset.get_data_info(0)['img_path']  # sorted
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 32, 64)
    truth = sample['data_samples'].gt_sem_seg.data
    assert truth.shape == (1, 64, 128)  # at its own size
    np.testing.assert_array_equal(np.unique(truth), [0, 18, 255])


@pytest.fixture
def config(tmp_path):
    return make(tmp_path, LAYOUTS[0])


def test_wrong_root_and_empty_split(config, tmp_path):
    with pytest.raises(UserError, match='GTADataset: no folder /nowhere/images'):
        build_dataset(config | dict(data_root='/nowhere'))
    (tmp_path / 'empty').mkdir()
    prefix = dict(img_path='empty', seg_map_path='labels')
    with pytest.raises(UserError, match=r'no images \*.png in .*/empty'):
        build_dataset(config | dict(data_prefix=prefix))
    with pytest.raises(UserError, match='no list .*night.txt'):
        build_dataset(config | dict(ann_file='night.txt'))


def test_missing_label_names_the_first_and_the_command(config, tmp_path):
    (tmp_path / 'labels/b/two_labelTrainIds.png').unlink()
    with pytest.raises(UserError, match='1 of 2 label files .*two_label.*mmseg-uda convert gta'):
        build_dataset(config)
    with pytest.raises(UserError, match='1 of 2 label files'):
        check_dataset(DATASETS.build(config))


def test_images_alone_are_a_dataset(config):
    dataset = build_dataset(config | dict(data_prefix=dict(img_path='images')))
    assert len(dataset) == 2 and 'seg_map_path' not in dataset.get_data_info(0)


def test_list_of_files_picks_images_and_a_missing_one_is_named(config, tmp_path):
    (tmp_path / 'night.txt').write_text('b/two\n')
    assert len(build_dataset(config | dict(ann_file='night.txt'))) == 1
    (tmp_path / 'night.txt').write_text('b/two\nc/three\n')
    with pytest.raises(UserError, match='1 of 2 image files are missing, first .*c/three.png'):
        build_dataset(config | dict(ann_file='night.txt'))


def test_own_data_needs_classes(config):
    own = config | dict(
        type='BaseSegDataset', img_suffix='.png', seg_map_suffix='_labelTrainIds.png'
    )
    with pytest.raises(UserError, match='no classes'):
        build_dataset(own)


def test_pseudo_labels_are_not_mapped(tmp_path):
    """Their values count the classes of the config: 9 is sky where terrain is left out."""
    from mmseg_uda.datasets.labels import CLASSES, PALETTE, SYNTHIA_16

    write_image(tmp_path / 'images/a/x_leftImg8bit.png', (8, 8))
    write_train_ids(tmp_path / 'labels/a/x_leftImg8bit.png', np.full((8, 8), 9))
    classes = [CLASSES[train_id] for train_id in SYNTHIA_16]
    dataset = build_dataset(
        dict(
            type='PseudoLabelDataset',
            data_prefix=dict(img_path=f'{tmp_path}/images', seg_map_path=f'{tmp_path}/labels'),
            metainfo=dict(classes=classes),
            pipeline=[dict(type='FixedResize', size=(4, 4))],
        )
    )
    assert dataset.metainfo['palette'][9] == PALETTE[CLASSES.index('sky')]
    assert (dataset[0]['gt_seg_map'] == 9).all()


def test_a_pseudo_label_that_is_missing_or_of_another_size_is_named(tmp_path):
    for name in ('x', 'y'):
        write_image(tmp_path / f'images/{name}_leftImg8bit.png', (8, 12))
        write_train_ids(tmp_path / f'labels/{name}_leftImg8bit.png', np.zeros((8, 12)))
    prefix = dict(img_path=f'{tmp_path}/images', seg_map_path=f'{tmp_path}/labels')
    config = dict(type='PseudoLabelDataset', data_prefix=prefix, pipeline=[])
    assert len(build_dataset(config)) == 2
    write_train_ids(tmp_path / 'labels/y_leftImg8bit.png', np.zeros((4, 6)))
    match = r'1 of 2 labels have another size .*labels/y_.* \(6x4\) of .*images/y_.* \(12x8\)'
    with pytest.raises(UserError, match=match):
        build_dataset(config)
    (tmp_path / 'labels/y_leftImg8bit.png').unlink()
    with pytest.raises(UserError, match='1 of 2 label files .*labels/y_.*mmseg-uda pseudo-label'):
        build_dataset(config)


def test_cross_city_images_and_labels(tmp_path):
    write_image(tmp_path / 'Images/Test/pano_1.jpg', (8, 8))
    write_train_ids(tmp_path / 'Labels/Test/pano_1_eval_labelTrainIds.png', np.zeros((8, 8)))
    prefix = dict(img_path='Images/Test', seg_map_path='Labels/Test')
    dataset = build_dataset(
        dict(type='CrossCityDataset', data_root=str(tmp_path), data_prefix=prefix, pipeline=[])
    )
    assert len(dataset) == 1 and len(dataset.metainfo['classes']) == 19
