"""Worlds on disk: layouts, names and pixel formats of the real data sets; determinism; restart."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmseg_uda.cli.make_toy_world import main
from mmseg_uda.errors import UserError
from mmseg_uda.toy import make_world
from mmseg_uda.toy.labels import SYNTHIA_IDS, TRAIN_IDS, label_id

SIZE = (64, 128)
COUNTS = {'train': 3, 'val': 2, 'test': 1}
CITY = 'cityscapes/gtFine/train/aachen/aachen_000000_000019_gtFine'


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('world')
    make_world(out, size=SIZE, counts=COUNTS)
    return out


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob('*') if path.is_file()
    }


def names(out: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.glob(pattern))


def test_names_are_those_of_the_real_data_sets(world):
    numbers = [f'{i:05d}.png' for i in (1, 2, 3)]
    for folder in ('images', 'labels', 'depth_any'):
        assert names(world / 'gta' / folder, '*') == numbers
    for folder in ('RGB', 'GT/LABELS', 'depth_any'):
        assert names(world / 'synthia' / folder, '*') == [f'00{name}' for name in numbers]
    city = world / 'cityscapes'
    images = names(city, 'leftImg8bit/*/*/*')
    assert len(images) == 5
    assert images[0] == 'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
    for path in images:
        depth = path.replace('leftImg8bit/', 'depth_any/').replace('leftImg8bit', 'depth')
        assert (city / depth).exists()
        label = path.replace('leftImg8bit/', 'gtFine/').replace('leftImg8bit', 'gtFine_labelIds')
        assert (city / label).exists()
        assert (city / label.replace('labelIds.png', 'polygons.json')).exists()
    rio = world / 'crosscity/Rio'
    assert len(names(rio, 'Images/Train/pano_*.jpg')) == 3
    tests = [path.split('/')[-1] for path in names(rio, 'Images/Test/*.jpg')]
    labels = [path.split('/')[-1] for path in names(rio, 'Labels/Test/*')]
    assert labels == [name.replace('.jpg', '_eval.png') for name in tests] and len(tests) == 2
    night = world / 'dark_zurich'
    assert len(names(night, 'rgb_anon/train/night/GOPR0001/*_rgb_anon.png')) == 3
    assert len(names(night, 'rgb_anon/test/night/*/*_rgb_anon.png')) == 1
    assert names(night, 'gt/**/*TrainIds.png') == [
        f'gt/val/night/GOPR0002/GOPR0002_frame_00000{i}_gt_labelTrainIds.png' for i in (1, 2)
    ]


def test_pixel_formats_are_those_of_the_real_data_sets(world):
    for path in ('gta/images/00001.png', 'synthia/RGB/0000001.png'):
        image = Image.open(world / path)
        assert image.mode == 'RGB' and image.size == SIZE[::-1]
    gta = Image.open(world / 'gta/labels/00001.png')
    assert gta.mode == 'P' and set(np.unique(gta)) <= set(range(34))
    assert gta.getpalette()[7 * 3 : 8 * 3] == [128, 64, 128]
    synthia = cv2.imread(str(world / 'synthia/GT/LABELS/0000001.png'), cv2.IMREAD_UNCHANGED)
    assert synthia.dtype == np.uint16 and synthia.shape == (*SIZE, 3)
    assert set(np.unique(synthia[..., 2])) <= set(SYNTHIA_IDS) and not synthia[..., 0].any()
    assert len(np.unique(synthia[..., 1])) > 5
    ids = Image.open(world / f'{CITY}_labelIds.png')
    assert ids.mode == 'L'
    assert Image.open(world / 'gta/depth_any/00001.png').mode == 'L'
    stem = 'dark_zurich/gt/val/night/GOPR0002/GOPR0002_frame_000001_gt'
    train_ids = np.asarray(Image.open(world / f'{stem}_labelTrainIds.png'))
    ids = np.asarray(Image.open(world / f'{stem}_labelIds.png'))
    assert np.array_equal(train_ids, TRAIN_IDS[ids])
    assert Image.open(world / f'{stem}_labelColor.png').mode == 'RGB'


def test_depth_is_inverse_and_fills_the_range(world):
    for number in (1, 2, 3):
        depth = np.asarray(Image.open(world / f'gta/depth_any/{number:05d}.png'))
        ids = np.asarray(Image.open(world / f'gta/labels/{number:05d}.png'))
        assert depth.min() == 0 and depth.max() == 255
        assert (depth[ids == label_id('sky')] == 0).all()
        road = [depth[row][ids[row] == label_id('road')] for row in range(SIZE[0])]
        road = [values.mean() for values in road if values.size]
        assert (np.diff(road) >= 0).all()  # nearer and thus brighter from top to bottom


def test_polygons_drawn_in_order_give_the_label_ids(world):
    for path in (world / 'cityscapes/gtFine').rglob('*_polygons.json'):
        annotation = json.loads(path.read_text())
        size = annotation['imgWidth'], annotation['imgHeight']
        assert size == SIZE[::-1]
        canvas = Image.new('L', size, 255)
        draw = ImageDraw.Draw(canvas)
        for thing in annotation['objects']:
            value = label_id(thing['label'])
            points = [tuple(point) for point in thing['polygon']]
            assert all(0 <= x < size[0] and 0 <= y < size[1] for x, y in points)
            if value >= 0:
                draw.polygon(points, fill=value)
        ids = Image.open(str(path).replace('polygons.json', 'labelIds.png'))
        assert np.array_equal(canvas, ids)


def test_an_image_does_not_depend_on_counts_looks_or_processes(world, tmp_path):
    make_world(tmp_path, size=SIZE, counts={'train': 2, 'val': 0}, looks=('city',), nproc=2)
    small, large = contents(tmp_path), contents(world)
    small.pop('toy_world.json')
    assert len(small) == 8
    assert all(large[path] == data for path, data in small.items())


def test_another_seed_gives_other_images(world, tmp_path):
    make_world(tmp_path, seed=1, size=SIZE, counts={'train': 1}, looks=('game',))
    path = 'gta/images/00001.png'
    assert (tmp_path / path).read_bytes() != (world / path).read_bytes()


def test_a_broken_off_world_is_completed_and_grows(world, tmp_path):
    looks = ('game',)
    make_world(tmp_path, size=SIZE, counts={'train': 2}, looks=looks)
    kept, lost = tmp_path / 'gta/images/00001.png', tmp_path / 'gta/labels/00002.png'
    kept.write_bytes(b'not touched')
    data = lost.read_bytes()
    lost.unlink()
    make_world(tmp_path, size=SIZE, counts={'train': 3}, looks=looks)
    assert kept.read_bytes() == b'not touched' and lost.read_bytes() == data
    third = 'gta/images/00003.png'
    assert (tmp_path / third).read_bytes() == (world / third).read_bytes()
    make_world(tmp_path, size=SIZE, counts={'train': 1}, looks=('sim',))
    record = json.loads((tmp_path / 'toy_world.json').read_text())
    assert record['schema'] == 1
    assert record['images'] == {'game': {'train': 3}, 'sim': {'train': 1}}


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'seed': 1}, 'has seed 0, not 1'),
        ({'size': (64, 160)}, r'has size \[64, 128\], not \[64, 160\]'),
        ({'counts': {'train': 1}}, 'has 3 train images of look game, not 1'),
    ],
)
def test_worlds_are_not_mixed(world, changed, message):
    with pytest.raises(UserError, match=message):
        make_world(world, **({'size': SIZE, 'counts': COUNTS} | changed))


def test_real_data_are_left_alone(tmp_path):
    (tmp_path / 'gta/images').mkdir(parents=True)
    with pytest.raises(UserError, match='gta exists but is no toy data set'):
        make_world(tmp_path, size=SIZE)
    for text in ('{"seed"', '{"images": {}}', '[]'):
        (tmp_path / 'toy_world.json').write_text(text)
        with pytest.raises(UserError, match='not the record of a toy world'):
            make_world(tmp_path, size=SIZE)


@pytest.mark.parametrize(
    'bad',
    [
        {'seed': -1},
        {'size': (16, 128)},
        {'nproc': 0},
        {'looks': ('rain',)},
        {'counts': {'train': -1}},
        {'counts': {'training': 1}},
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(bad, tmp_path):
    with pytest.raises(UserError):
        make_world(tmp_path / 'world', **bad)
    assert not (tmp_path / 'world').exists()


@pytest.mark.parametrize('size', [(32, 64), (96, 320), (256, 512)])
def test_other_sizes_work(size, tmp_path):
    make_world(tmp_path, size=size, counts={'train': 1}, looks=('game',))
    assert Image.open(tmp_path / 'gta/images/00001.png').size == size[::-1]


def test_command_line(world, tmp_path):
    counts = ['--train', '1', '--val', '1', '--test', '0']
    main([str(tmp_path), '--size', '64', '128', *counts, '--looks', 'city', 'night'])
    path = f'{CITY}_labelIds.png'
    assert (tmp_path / path).read_bytes() == (world / path).read_bytes()
