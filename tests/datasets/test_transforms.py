import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.datasets import transforms
from mmseg_uda.datasets.transforms import (
    PAD_RGB,
    LabelFirstCrop,
    LoadAnnotations,
    PackDomain,
    random_crop_box,
    rescale_size,
    validity_mask,
)
from mmseg_uda.errors import UserError
from tests.datasets.conftest import stripes, write_image, write_train_ids


@pytest.mark.parametrize(
    ('size', 'scale', 'expected'),
    [
        ((1914, 1052), (1280, 720), (1280, 704)),
        ((1914, 1046), (1280, 720), (1280, 700)),
        ((2048, 1024), (1024, 512), (1024, 512)),
        ((512, 1024), (1024, 512), (512, 1024)),  # the long side may be the height
    ],
)
def test_rescale_size(size, scale, expected):
    assert rescale_size(size, scale) == expected


def test_crop_box_without_ratio_needs_only_the_shape():
    np.random.seed(0)
    boxes = np.array([random_crop_box(np.empty((20, 30, 3)), (8, 10)) for _ in range(500)])
    assert set(boxes[:, 0]) == set(range(13)) and set(boxes[:, 2]) == set(range(21))
    assert (boxes[:, 1] - boxes[:, 0] == 8).all() and (boxes[:, 3] - boxes[:, 2] == 10).all()
    assert random_crop_box(np.empty((5, 30)), (8, 30)) == (0, 5, 0, 30)


def test_crop_box_avoids_one_class_crops():
    label = np.zeros((40, 400), np.uint8)
    label[:, 190:210] = 1
    np.random.seed(0)
    shares = []
    for _ in range(100):
        y1, y2, x1, x2 = random_crop_box(label, (40, 40), 0.75)
        shares.append((label[y1:y2, x1:x2] == 0).mean())
    assert np.mean(np.array(shares) < 0.75) > 0.5  # 0.1 without redraws
    label[:] = 255  # nothing labelled: takes the last draw
    assert random_crop_box(label, (40, 40), 0.75)[:2] == (0, 40)


def test_validity_mask():
    mask = validity_mask((10, 20), (1, 2, 3, 4))
    assert mask.dtype == np.uint8 and mask.sum() == 7 * 13
    assert mask[1:8, 3:16].all()


@pytest.fixture
def pair(tmp_path):
    """A pair of 60 x 120 pixels; class 3 is one narrow stripe, the image shows the label."""
    label = stripes((60, 120), [0] * 9 + [3] + [1] * 10)
    image = np.repeat(label[..., None], 3, axis=2) * 50
    image[..., 0] += 7  # blue
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    write_train_ids(tmp_path / 'label.png', label)
    return {
        'img_path': str(tmp_path / 'image.png'),
        'seg_map_path': str(tmp_path / 'label.png'),
        'label_map': None,
        'reduce_zero_label': False,
    }


def test_image_and_label_are_cropped_alike(pair):
    np.random.seed(1)
    crop = LabelFirstCrop(scale=(120, 60), crop_size=(40, 50))
    results = crop(dict(pair))
    assert results['img'].shape == (40, 50, 3) and results['gt_seg_map'].shape == (40, 50)
    np.testing.assert_array_equal(results['img'][..., 1], results['gt_seg_map'] * 50)
    sample = PackDomain()(results)
    assert sample['image'].dtype == sample['label'].dtype == torch.uint8
    assert sample['image'].shape == (3, 40, 50) and sample['image'].is_contiguous()
    assert torch.equal(sample['image'][0], sample['label'] * 50)  # red first
    assert torch.equal(sample['image'][2], sample['label'] * 50 + 7)
    assert sample['path'] == pair['img_path']
    assert 'valid' not in sample


def test_resizes_like_mmseg(pair):
    from mmseg.datasets import transforms as mmseg_transforms

    reference = dict(pair, seg_fields=[])
    for transform in (
        TRANSFORMS.build(dict(type='LoadImageFromFile')),
        mmseg_transforms.LoadAnnotations(),
        TRANSFORMS.build(dict(type='Resize', scale=(70, 50), keep_ratio=True)),
    ):
        reference = transform(reference)
    results = LabelFirstCrop(scale=(70, 50), crop_size=(35, 70))(dict(pair))
    np.testing.assert_array_equal(results['img'], reference['img'])
    np.testing.assert_array_equal(results['gt_seg_map'], reference['gt_seg_map'])


def test_rare_class_is_found_and_the_image_decoded_once(pair, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        transforms,
        'read_image',
        lambda path, read=transforms.read_image: (decoded.append(path), read(path))[1],
    )
    crop = LabelFirstCrop(scale=(120, 60), crop_size=(40, 20))
    np.random.seed(0)
    hits = {rare: 0 for rare in (None, (3, 100))}
    for rare in hits:
        for _ in range(40):
            label = crop(dict(pair, rare_class=rare))['gt_seg_map']
            hits[rare] += (label == 3).sum() > 100
    assert hits[None] < 15 and hits[3, 100] > 35
    assert len(decoded) == 80


def test_hopeless_rare_class_takes_the_eleventh_crop(pair, monkeypatch):
    boxes = []
    monkeypatch.setattr(
        transforms,
        'random_crop_box',
        lambda *args, draw=random_crop_box: boxes.append(draw(*args)) or boxes[-1],
    )
    crop = LabelFirstCrop(scale=(120, 60), crop_size=(40, 20))
    label = crop(dict(pair, rare_class=(17, 0)))['gt_seg_map']
    assert len(boxes) == 11
    y1, y2, x1, x2 = boxes[-1]
    np.testing.assert_array_equal(label, stripes((60, 120), [0] * 9 + [3] + [1] * 10)[y1:y2, x1:x2])


def test_unlabelled_image_with_margins(pair):
    del pair['seg_map_path']
    np.random.seed(0)
    crop = LabelFirstCrop(scale=(60, 30), crop_size=(30, 60), margins=(6, 20, 4, 0))
    results = crop(pair)
    expected = np.zeros((30, 60), np.uint8)
    expected[3:20, 2:] = 1
    np.testing.assert_array_equal(results['valid'], expected)
    sample = PackDomain()(results)
    assert set(sample) == {'image', 'valid', 'path'} and sample['valid'].sum() == 17 * 58
    sample['valid'].zero_()  # the sample owns its mask
    np.testing.assert_array_equal(crop(pair)['valid'], expected)


def test_flip_turns_image_label_and_mask(pair):
    from mmseg.datasets.transforms import RandomFlip

    crop = LabelFirstCrop(scale=(120, 60), crop_size=(60, 120), margins=(0, 0, 30, 0))
    plain = PackDomain()(crop(dict(pair)))
    flipped = PackDomain()(RandomFlip(prob=1.0)(crop(dict(pair))))
    for key in ('image', 'label', 'valid'):
        assert torch.equal(flipped[key], plain[key].flip(-1))


def test_small_image_is_padded_at_the_bottom_and_right(pair):
    results = LabelFirstCrop(scale=(120, 60), crop_size=(64, 130), margins=(0, 0, 0, 0))(pair)
    sample = PackDomain()(results)
    assert sample['image'].shape == (3, 64, 130)
    assert tuple(sample['image'][:, 63, 0].tolist()) == PAD_RGB
    assert tuple(sample['image'][:, 0, 129].tolist()) == PAD_RGB
    assert (sample['label'][60:] == 255).all() and (sample['label'][:60, :120] != 255).all()
    assert not sample['valid'][:, 120:].any() and sample['valid'][:60, :120].all()


def test_palette_labels_are_read_as_indices(pair):
    with Image.open(pair['seg_map_path']) as file:
        picture = Image.fromarray(np.array(file))
    picture.putpalette([9, 9, 9] * 256)
    picture.save(pair['seg_map_path'])
    label = LabelFirstCrop(scale=(120, 60), crop_size=(60, 120))(pair)['gt_seg_map']
    np.testing.assert_array_equal(np.unique(label), [0, 1, 3])


@pytest.mark.parametrize('loader', ['LabelFirstCrop', 'LoadAnnotations'])
def test_sixteen_bit_labels_are_read_right_or_refused(pair, loader):
    """By training's loader, and by that of test pipelines."""
    options = dict(scale=(120, 60), crop_size=(60, 120)) if loader == 'LabelFirstCrop' else {}
    load = TRANSFORMS.build(dict(type=loader, **options))
    label = stripes((60, 120), [0, 3]).astype(np.uint16)
    assert cv2.imwrite(pair['seg_map_path'], label)
    np.testing.assert_array_equal(load(dict(pair, seg_fields=[]))['gt_seg_map'], label)
    label[5, 7] = 256 + 3  # cut to 8 bits it would be class 3
    assert cv2.imwrite(pair['seg_map_path'], label)
    with pytest.raises(UserError, match='label.png: label value 259 is not in 0..255'):
        load(dict(pair, seg_fields=[]))


@pytest.mark.parametrize('reduce', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 255, 1: 0, 2: 1, 3: 255}, {3: 0, 0: 3}])
def test_labels_are_mapped_like_mmseg_does(pair, reduce, label_map):
    from mmseg.datasets import transforms as mmseg_transforms

    Image.fromarray(stripes((60, 120), [0, 1, 2, 3, 4, 254, 255])).save(pair['seg_map_path'])
    maps = [
        load(dict(pair, seg_fields=[], reduce_zero_label=reduce, label_map=label_map))['gt_seg_map']
        for load in (LoadAnnotations(), mmseg_transforms.LoadAnnotations())
    ]
    np.testing.assert_array_equal(*maps)


def test_one_bit_labels_hold_the_classes_0_and_1(pair):
    Image.fromarray(stripes((60, 120), [0, 1, 0]) > 0).save(pair['seg_map_path'])
    label = LoadAnnotations()(dict(pair, seg_fields=[]))['gt_seg_map']
    np.testing.assert_array_equal(label, stripes((60, 120), [0, 1, 0]))


def test_other_sizes_and_damaged_files_are_named(pair, tmp_path):
    crop = LabelFirstCrop(scale=(120, 60), crop_size=(30, 30))
    write_image(tmp_path / 'image.png', (58, 120))
    with pytest.raises(UserError, match='image.png is 120x58 .*label.png is 120x60'):
        crop(dict(pair))
    whole = (tmp_path / 'image.png').read_bytes()
    (tmp_path / 'image.png').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match='image.png: the file is cut off'):
        crop(dict(pair))
    whole = (tmp_path / 'label.png').read_bytes()
    (tmp_path / 'label.png').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match='label.png: not a readable label'):
        crop(dict(pair))
    (tmp_path / 'label.png').unlink()
    with pytest.raises(UserError, match='label.png: not a readable label'):
        crop(dict(pair))
    write_image(tmp_path / 'label.png', (60, 120))
    with pytest.raises(UserError, match='label.png: a label has one channel'):
        crop(dict(pair))
