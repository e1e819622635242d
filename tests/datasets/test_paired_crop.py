import random
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import default_collate

from mmseg_uda.datasets import paired_crop
from mmseg_uda.datasets.paired_crop import PairedCrop
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.errors import UserError
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from tests.datasets.conftest import write_train_ids

SIZE, CROP = (80, 40), (16, 32)  # (width, height), (height, width)


@pytest.fixture
def pair(tmp_path):
    """A smooth image of 64 x 128 and a label of a different value in every block of 4 x 4."""
    y, x = np.mgrid[:64, :128]
    rgb = np.stack([2 * x, 4 * y, x + y], axis=2).clip(0, 255).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / 'image.png')
    label = np.random.default_rng(0).integers(0, 19, (16, 32)).repeat(4, 0).repeat(4, 1)
    write_train_ids(tmp_path / 'label.png', label)
    paths = dict(img_path=f'{tmp_path}/image.png', seg_map_path=f'{tmp_path}/label.png')
    return dict(paths, seg_fields=[], reduce_zero_label=False), rgb, label.astype(np.uint8)


def given(monkeypatch, numbers, integers):
    draws = Mock(random=Mock(side_effect=numbers), randint=Mock(side_effect=integers))
    monkeypatch.setattr(paired_crop, 'random', draws)
    return draws


def resized(array, size, how):
    return np.asarray(Image.fromarray(array).resize(size, how))


@pytest.mark.parametrize('mirror', [False, True])
def test_both_crops_are_windows_of_the_resized_pair(pair, monkeypatch, mirror):
    """At factor 1.1: 88 x 44 pixels, so 28 rows and 56 columns of room; 24 and 48 in the plain."""
    results, rgb, label = pair
    draws = given(monkeypatch, [0.75, 0.2 if mirror else 0.5], [7, 13])
    sample = PairedCrop(SIZE, CROP)(results)
    assert [call.args for call in draws.randint.call_args_list] == [(0, 28), (0, 56)]
    ((plain,), _, (plain_label,)) = sample['views']['plain']
    step = -1 if mirror else 1
    for (y, x), size, image, own in (
        ((7, 13), (88, 44), sample['img'], sample['gt_seg_map']),
        ((7 * 24 // 28, 13 * 48 // 56), SIZE, plain, plain_label),
    ):
        window = np.s_[y : y + 16, x : x + 32]
        expected = resized(rgb, size, Image.Resampling.BICUBIC)[window][:, ::step, ::-1]
        np.testing.assert_array_equal(image, expected)
        expected = resized(label, size, Image.Resampling.NEAREST)[window][:, ::step]
        np.testing.assert_array_equal(own, expected)
    assert sample['crop_size'] == sample['img_shape'] == CROP


@pytest.mark.parametrize('seed', range(4))
def test_the_geometry_leads_to_the_plain_crop(pair, seed):
    """Sampled at its positions, the plain crop is the augmented one where they overlap."""
    random.seed(seed)
    sample = PackDomain()(PairedCrop(SIZE, CROP)(pair[0]))
    plain = sample['views']['plain']
    grid = F.affine_grid(plain['geometry'], (1, 3, *CROP), align_corners=False)
    found = F.grid_sample(plain['image'].float(), grid, align_corners=False)[0]
    inside = (grid.abs() < 0.9).all(dim=3)[0]
    difference = (found - sample['image'].float()).abs().amax(dim=0)
    assert inside.sum() > 300
    assert difference[inside].max() < 4  # a shift of one pixel is 4.4 in the rows


@pytest.mark.parametrize(
    ('columns', 'ignored', 'tries'),
    [([11], False, 1), ([10, 9, 11], False, 3), ([10], True, 1), ([10] * 10, False, 10)],
)
def test_crops_are_drawn_until_one_has_more_than_ten_values(
    pair, tmp_path, monkeypatch, columns, ignored, tries
):
    """The crop of 64 columns from column 11 has the values 0 to 10; 255 is a value, too."""
    label = np.zeros((64, 128), np.uint8)
    label[:, 64:75] = np.arange(11)
    label[:, 30] = 255 if ignored else 0
    write_train_ids(tmp_path / 'label.png', label)
    integers = [number for column in columns for number in (5, column)]
    draws = given(monkeypatch, [0.0, 0.9], integers)
    sample = PairedCrop((128, 64), (16, 64), scales=(1, 1))(pair[0])
    assert draws.randint.call_count == 2 * tries
    np.testing.assert_array_equal(sample['gt_seg_map'], label[5:21, columns[-1] :][:, :64])


def test_only_the_rescaled_image_is_augmented(pair):
    def blacken(results):
        return {'img': np.zeros_like(results['img'])}

    samples = []
    for augment in ([], [blacken]):
        random.seed(1)
        samples.append(PairedCrop(SIZE, CROP, augment=augment)(dict(pair[0], seg_fields=[])))
    as_it_is, black = samples
    assert as_it_is['img'].any() and not black['img'].any()
    for one, other in zip(as_it_is['views']['plain'], black['views']['plain'], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(as_it_is['gt_seg_map'], black['gt_seg_map'])


def test_a_batch_has_the_plain_pair_as_a_view(pair):
    random.seed(0)
    samples = [PackDomain()(PairedCrop(SIZE, CROP)(dict(pair[0], seg_fields=[]))) for _ in 'ab']
    batch = UDADataPreProcessor(mean=(0, 0, 0), std=(1, 1, 1))(
        {'source': default_collate(samples)}, training=True
    ).source
    plain = batch.views['plain']
    assert plain.images.shape == (2, 1, 3, *CROP) and plain.geometry.shape == (2, 1, 2, 3)
    assert plain.labels.shape == (2, 1, *CROP) and plain.labels.dtype == torch.int64
    for index, sample in enumerate(samples):
        expected = sample['views']['plain']
        assert torch.equal(plain.images[index], expected['image'].float())
        assert torch.equal(plain.labels[index], expected['label'].long())
        assert torch.equal(batch.labels[index], sample['label'].long())


def test_bad_input(pair, tmp_path):
    with pytest.raises(UserError, match=r'crop_size is \(33, 32\) .* smallest image is \(32, 64\)'):
        PairedCrop(SIZE, (33, 32))
    unlabelled = {key: value for key, value in pair[0].items() if key != 'seg_map_path'}
    with pytest.raises(UserError, match='image.png has no label, which PairedCrop needs'):
        PairedCrop(SIZE, CROP)(unlabelled)
    write_train_ids(tmp_path / 'label.png', np.zeros((64, 127)))
    with pytest.raises(UserError, match='is 128x64 pixels, its label .* is 127x64'):
        PairedCrop(SIZE, CROP)(pair[0])
