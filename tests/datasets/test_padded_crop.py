import random

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.padded_crop import LoadScaled, PaddedCrop
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.models import UDADataPreProcessor
from tests.datasets.conftest import write_image, write_train_ids
from tests.datasets.test_fixed_size import pair  # noqa: F401


def pillow(image, size, resampling=Image.Resampling.BILINEAR):
    return np.asarray(Image.fromarray(image).resize(size, resampling))


def test_the_first_size_is_that_of_the_published_gta_pipeline(tmp_path, monkeypatch):
    """1914 x 1052 before the factor, whatever the size of the file: not one resize of both."""
    image = write_image(tmp_path / 'image.png', (105, 190))
    label = np.random.default_rng(1).integers(0, 19, (105, 190)).astype(np.uint8)
    write_train_ids(tmp_path / 'label.png', label)
    load = LoadScaled(size=(1914, 1052), scales=(0.5, 1.0))
    monkeypatch.setattr(random, 'random', lambda: 0.25)
    paths = dict(img_path=f'{tmp_path}/image.png', seg_map_path=f'{tmp_path}/label.png')
    sample = load(dict(paths, reduce_zero_label=False))
    size = int(1914 * 0.625), int(1052 * 0.625)
    nearest = Image.Resampling.NEAREST
    np.testing.assert_array_equal(sample['img'], pillow(pillow(image, (1914, 1052)), size))
    expected = pillow(pillow(label, (1914, 1052), nearest), size, nearest)
    np.testing.assert_array_equal(sample['gt_seg_map'], expected)
    assert sample['img_shape'] == size[::-1]


def test_scales_cover_their_range(pair, monkeypatch):  # noqa: F811
    sizes = []
    for drawn in (0.0, 0.5, 1.0):
        monkeypatch.setattr(random, 'random', lambda drawn=drawn: drawn)
        sizes.append(LoadScaled((0.5, 1.1))(dict(pair[0], seg_fields=[]))['img'].shape)
    assert sizes == [(15, 25, 3), (24, 40, 3), (33, 55, 3)]  # of 30 x 50


def test_a_crop_is_a_window(pair):  # noqa: F811
    results, image, label = pair
    corners = set()
    for seed in range(60):
        random.seed(seed)
        loaded = LoadScaled((1.0, 1.0))(dict(results, seg_fields=[]))
        sample = PaddedCrop((28, 20))(loaded)
        windows = np.lib.stride_tricks.sliding_window_view(label, (28, 20))
        ((y, x),) = np.argwhere((windows == sample['gt_seg_map']).all((2, 3)))
        np.testing.assert_array_equal(sample['img'], image[y : y + 28, x : x + 20])
        assert not sample['padding'].any()
        corners.add((y, x))
    assert {y for y, _ in corners} == {0, 1, 2} and {0, 30} & {x for _, x in corners}


def test_missing_pixels_are_added_on_both_sides(pair):  # noqa: F811
    """37 - 30 rows: three above, four below; 61 - 50 columns: five to the left, six right."""
    results, image, label = pair
    sample = PaddedCrop((37, 61))(LoadScaled((1.0, 1.0))(results))
    inside = slice(3, 33), slice(5, 55)
    assert sample['img'].shape == (37, 61, 3) and sample['crop_size'] == (37, 61)
    np.testing.assert_array_equal(sample['img'][inside], image)
    np.testing.assert_array_equal(sample['gt_seg_map'][inside], label)
    padding = np.ones((37, 61), np.uint8)
    padding[inside] = 0
    np.testing.assert_array_equal(sample['padding'], padding)
    assert (
        not sample['img'][padding == 1].any() and (sample['gt_seg_map'][padding == 1] == 255).all()
    )


@pytest.mark.parametrize('labelled', [True, False])
def test_padding_is_flipped_and_normalised_to_zero(pair, labelled):  # noqa: F811
    from mmseg.datasets.transforms import RandomFlip

    results = dict(pair[0])
    if not labelled:
        del results['seg_map_path']
    sample = PaddedCrop((30, 60))(LoadScaled((0.5, 0.5))(results))
    padding = sample['padding']
    assert padding[:, :17].all() and not padding[7:22, 17:42].any()  # of 60, 25 are image
    sample = RandomFlip(prob=1.0)(sample)
    packed = PackDomain()(sample)
    np.testing.assert_array_equal(packed['padding'].numpy(), padding[:, ::-1])
    batch = {name: value[None] for name, value in packed.items() if name != 'path'}
    images = UDADataPreProcessor(source=dict(mean=(9.0, 9.0, 9.0)))({'source': batch}).source.images
    zero = (images[0] == 0).all(0).numpy()
    np.testing.assert_array_equal(zero, padding[:, ::-1].astype(bool))
    assert ('label' in packed) == labelled
