import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets import labels
from mmseg_uda.errors import UserError
from mmseg_uda.preparation.conversion import convert_cityscapes, convert_label_images
from mmseg_uda.preparation.raw_labels import GTA, MAPILLARY, SYNTHIA
from tests.datasets.conftest import write_image, write_palette_label
from tests.preparation.conftest import raw_ids


def translate(ids, table):
    return np.vectorize(lambda label_id: table[label_id])(ids)


def read(path):
    with Image.open(path) as file:
        assert file.mode == 'L'
        return np.array(file)


@pytest.mark.parametrize('nproc', [1, 2])
def test_gta_labels_and_statistics(gta_root, nproc):
    convert_label_images(GTA, str(gta_root), nproc=nproc)
    stats = json.loads((gta_root / 'sample_class_stats.json').read_text())
    by_file = json.loads((gta_root / 'sample_class_stats_dict.json').read_text())
    by_class = json.loads((gta_root / 'samples_with_class.json').read_text())
    for number in range(3):
        ids = np.array(Image.open(gta_root / f'labels/{number:05d}.png'))
        path = f'{gta_root}/labels/{number:05d}_labelTrainIds.png'
        converted = read(path)
        np.testing.assert_array_equal(converted, translate(ids, labels.GTA_TO_TRAIN))
        expected = {
            str(c): int((converted == c).sum()) for c in range(19) if (converted == c).any()
        }
        assert stats[number] == {**expected, 'file': path}
        assert list(stats[number])[-1] == 'file'
        assert by_file[path] == expected
        for train_id, pixels in expected.items():
            assert [path, pixels] in by_class[train_id]
    assert (gta_root / 'sample_class_stats.json').read_text().startswith('[\n  {\n    "0":')


def test_synthia_reads_the_red_channel(synthia_root):
    convert_label_images(SYNTHIA, str(synthia_root), nproc=1)
    raw = cv2.imread(str(synthia_root / 'GT/LABELS/0000001.png'), cv2.IMREAD_UNCHANGED)
    converted = read(synthia_root / 'GT/LABELS/0000001_labelTrainIds.png')
    np.testing.assert_array_equal(converted, translate(raw[..., 2], labels.SYNTHIA_TO_TRAIN))


def test_mapillary_has_any_stem_and_counts_the_last_id(tmp_path):
    ids = np.full((4, 6), 24)
    ids[0] = 41  # both are road
    write_palette_label(tmp_path / 'labels/-0BVs_x.png', ids)
    write_image(tmp_path / 'images/-0BVs_x.jpg', (4, 6))
    for _ in range(2):
        convert_label_images(MAPILLARY, str(tmp_path), nproc=1)
        assert not read(tmp_path / 'labels/-0BVs_x_labelTrainIds.png').any()
        stats = json.loads((tmp_path / 'sample_class_stats.json').read_text())
        assert [sample['0'] for sample in stats] == [6]


def test_cityscapes_polygons_statistics_and_splits(cityscapes_root):
    convert_cityscapes(str(cityscapes_root))
    stem = 'gtFine/train/aachen/aachen_000000_000001_gtFine'
    label = read(cityscapes_root / f'{stem}_labelTrainIds.png')
    assert label.shape == (32, 64)
    assert label[5, 5] == 13 and label[12, 12] == 13  # outline included, the plate is not drawn
    assert label[6, 22] == 11  # persongroup
    assert label[22, 22] == 0  # deleted bus
    assert label[22, 6] == label[0, 63] == 255  # polegroup, background
    stats = json.loads((cityscapes_root / 'sample_class_stats.json').read_text())
    assert [sample['file'] for sample in stats] == [f'{cityscapes_root}/{stem}_labelTrainIds.png']
    lists = [(cityscapes_root / f'{split}.txt').read_text() for split in ('train', 'val', 'test')]
    assert lists == ['aachen/aachen_000000_000001\n', 'lindau/lindau_000000_000001\n', '']


def test_second_run_keeps_good_labels_and_redoes_bad_ones(gta_root):
    convert_label_images(GTA, str(gta_root), nproc=1)
    files = [gta_root / f'labels/{number:05d}_labelTrainIds.png' for number in range(3)]
    good = [file.read_bytes() for file in files]
    statistics = (gta_root / 'sample_class_stats.json').read_text()
    files[0].write_bytes(good[0][:-30])  # cut off
    files[1].write_bytes((gta_root / 'labels/00001.png').read_bytes())  # not train ids
    before = [os.stat(file).st_ino for file in files]
    convert_label_images(GTA, str(gta_root), nproc=1)
    assert [file.read_bytes() for file in files] == good
    after = [os.stat(file).st_ino for file in files]
    assert after[2] == before[2] and after[0] != before[0] and after[1] != before[1]
    assert (gta_root / 'sample_class_stats.json').read_text() == statistics


def test_newer_source_is_converted_again(gta_root):
    convert_label_images(GTA, str(gta_root), nproc=1)
    source, target = (gta_root / f'labels/00001{end}.png' for end in ('', '_labelTrainIds'))
    write_palette_label(source, np.full((24, 32), 7))
    os.utime(source, ns=(0, os.stat(target).st_mtime_ns + 1))
    convert_label_images(GTA, str(gta_root), nproc=1)
    assert not read(target).any()


def test_statistics_elsewhere_and_other_label_folder(gta_root, tmp_path):
    (gta_root / 'labels').rename(gta_root / 'ids')
    convert_label_images(GTA, str(gta_root), 'ids', str(tmp_path / 'out'), nproc=1)
    stats = json.loads((tmp_path / 'out/sample_class_stats.json').read_text())
    assert stats[0]['file'] == f'{gta_root}/ids/00000_labelTrainIds.png'
    assert not (gta_root / 'sample_class_stats.json').exists()


def break_label(root):
    path = root / 'labels/00001.png'
    path.write_bytes(path.read_bytes()[:-40])
    return '00001.png'


def break_image(root):
    (root / 'images/00001.png').write_bytes(b'')
    return 'images/00001.png'


def unknown_id(root):
    ids = raw_ids(labels.GTA_TO_TRAIN)
    ids[3, 3] = 77
    write_palette_label(root / 'labels/00002.png', ids)
    return r'labels/00002.png.* 77 '


def colour_label(root):
    write_image(root / 'labels/00002.png', (24, 32))
    return 'labels/00002.png.*RGB'


def label_without_image(root):
    (root / 'images/00001.png').unlink()
    return 'labels/00001.png .*images/00001.png'


def image_without_label(root):
    (root / 'labels/00001.png').unlink()
    return 'images/00001.png .*labels/00001.png'


def other_size(root):
    write_image(root / 'images/00001.png', (24, 30))
    return 'images/00001.png is 30x24 .*labels/00001.png is 32x24'


@pytest.mark.parametrize(
    'spoil',
    [
        break_label,
        break_image,
        unknown_id,
        colour_label,
        label_without_image,
        image_without_label,
        other_size,
    ],
)
@pytest.mark.parametrize('nproc', [1, 2])
def test_bad_gta_files_are_named(gta_root, spoil, nproc):
    message = spoil(gta_root)
    with pytest.raises(UserError, match=message):
        convert_label_images(GTA, str(gta_root), nproc=nproc)
    assert not (gta_root / 'sample_class_stats.json').exists()


def test_bad_synthia_files_are_named(synthia_root):
    path = synthia_root / 'GT/LABELS/0000001.png'
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match='0000001.png: the file is cut off'):
        convert_label_images(SYNTHIA, str(synthia_root), nproc=1)
    write_image(path, (24, 32))
    with pytest.raises(UserError, match='0000001.png: expected a 16-bit'):
        convert_label_images(SYNTHIA, str(synthia_root), nproc=1)
    cv2.imwrite(str(path), np.full((24, 32, 3), 3000, np.uint16))
    with pytest.raises(UserError, match='0000001.png: unknown label id 3000'):
        convert_label_images(SYNTHIA, str(synthia_root), nproc=1)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"imgWidth": 64', 'not a readable polygon file'),
        ('{"imgWidth": 64, "imgHeight": 32}', 'objects'),
        (
            '{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "ufo", "polygon": []}]}',
            "unknown label name 'ufo'",
        ),
        (
            '{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "car", "polygon": 3}]}',
            'bad polygon',
        ),
    ],
)
def test_bad_polygon_files_are_named(cityscapes_root, content, message):
    path = next(cityscapes_root.glob('gtFine/val/*/*.json'))
    path.write_text(content)
    with pytest.raises(UserError, match=f'{path.name}.*{message}'):
        convert_cityscapes(str(cityscapes_root))


def test_cityscapes_pairs_are_checked(cityscapes_root):
    next(cityscapes_root.glob('gtFine/val/*/*.json')).unlink()
    with pytest.raises(UserError, match='lindau_000000_000001_leftImg8bit.png has no counterpart'):
        convert_cityscapes(str(cityscapes_root))


def test_wrong_root_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match='expected images/.*labels/'):
        convert_label_images(GTA, str(tmp_path))
    with pytest.raises(UserError, match='expected leftImg8bit/.*gtFine/'):
        convert_cityscapes(str(tmp_path))


def test_labels_alone_are_enough(gta_root, capsys):
    for image in (gta_root / 'images').iterdir():
        image.unlink()
    (gta_root / 'images').rmdir()
    convert_label_images(GTA, str(gta_root), nproc=1)
    assert f'no folder {gta_root}/images' in capsys.readouterr().err
