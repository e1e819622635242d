import random

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.fixed_size import (
    BlurThree,
    FixedResize,
    PILColorJitter,
    ScaleCrop,
    adjust_colour,
)
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.random import counter_random
from tests.datasets.conftest import write_image, write_train_ids


@pytest.fixture
def pair(tmp_path):
    image = write_image(tmp_path / 'image.png', (30, 50))
    label = np.random.default_rng(1).integers(0, 19, (30, 50)).astype(np.uint8)
    write_train_ids(tmp_path / 'label.png', label)
    paths = dict(img_path=f'{tmp_path}/image.png', seg_map_path=f'{tmp_path}/label.png')
    return dict(paths, seg_fields=[], reduce_zero_label=False), image, label


def test_resize_is_pillows_whatever_the_shape(pair):
    results, image, label = pair
    sample = PackDomain()(FixedResize((40, 12))(results))
    rgb = Image.fromarray(image[..., ::-1].copy())
    expected = np.asarray(rgb.resize((40, 12), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    np.testing.assert_array_equal(sample['image'].numpy(), expected)
    expected = np.asarray(Image.fromarray(label).resize((40, 12), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(sample['label'].numpy(), expected)


def test_images_without_labels(pair):
    results, *_ = pair
    del results['seg_map_path']
    for load in (FixedResize((40, 12)), ScaleCrop((1.0, 1.0), (12, 40))):
        sample = PackDomain()(load(dict(results)))
        assert sample['image'].shape == (3, 12, 40) and 'label' not in sample


def test_image_and_label_of_different_size_are_refused(pair, tmp_path):
    write_image(tmp_path / 'image.png', (30, 51))
    with pytest.raises(UserError, match='is 51x30 pixels, its label .* is 50x30'):
        FixedResize((40, 12))(pair[0])


def test_crop_at_native_size_is_a_window_of_the_image(pair):
    results, image, label = pair
    random.seed(3)
    sample = ScaleCrop((1.0, 1.0), (10, 20))(results)
    windows = np.lib.stride_tricks.sliding_window_view(label, (10, 20))
    ((y, x),) = np.argwhere((windows == sample['gt_seg_map']).all((2, 3)))
    np.testing.assert_array_equal(sample['img'], image[y : y + 10, x : x + 20])


def test_small_images_are_padded_on_both_sides(pair):
    """With 15 of 20 rows and 25 of 20 columns: 5 rows above and below, none beside."""
    results, *_ = pair
    found = set()
    for seed in range(40):
        random.seed(seed)
        sample = ScaleCrop((0.5, 0.5), (20, 20))(dict(results, seg_fields=[]))
        padding = sample['gt_seg_map'] == 255
        assert sample['img'].shape == (20, 20, 3) and not sample['img'][padding].any()
        rows = padding.all(1)
        assert rows.sum() == 5 and padding.sum() == 5 * 20
        found.add(int(rows[:5].sum()))
    assert found == set(range(6))  # the corner is drawn uniformly


def test_scales_cover_their_range(pair, monkeypatch):
    results, *_ = pair
    monkeypatch.setattr(random, 'random', lambda: 1.0)
    sample = ScaleCrop((0.5, 1.5), (45, 75))(results)
    assert sample['img'].shape == (45, 75, 3) and (sample['gt_seg_map'] != 255).all()


def test_colours_depend_on_pythons_generator_alone(pair):
    image = pair[1]
    jitter, blur = PILColorJitter(0.5, 0.5, 0.5, 0.2), BlurThree()
    pictures = []
    for position in (1, 1, 2):
        with counter_random(0, position):
            pictures.append(blur(jitter({'img': image}))['img'])
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any() and pictures[0].dtype == np.uint8


def test_strength_zero_changes_nothing_but_the_hues_rounding(pair):
    image = pair[1]
    jittered = PILColorJitter(0, 0, 0, 0)({'img': image})['img']
    assert np.abs(jittered.astype(int) - image).max() <= 8  # HSV has 8 bits, too


def test_hue_goes_round_the_circle():
    red = Image.new('RGB', (2, 2), (200, 0, 0))
    third = 86 / 255  # of the 256 hues, as near as can be
    green, blue = (np.asarray(adjust_colour(red, 'hue', x))[0, 0] for x in (third, -third))
    assert green.argmax() == 1 and blue.argmax() == 2


def test_every_order_of_the_four_operations_occurs(pair, monkeypatch):
    from mmseg_uda.datasets import fixed_size

    orders = set()
    monkeypatch.setattr(
        fixed_size, 'adjust_colour', lambda image, name, amount: names.append(name) or image
    )
    for seed in range(300):
        names: list[str] = []
        random.seed(seed)
        PILColorJitter(0.5, 0.5, 0.5, 0.2)({'img': pair[1]})
        orders.add(tuple(names))
    assert len(orders) == 24
