import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch.nn.functional import affine_grid, grid_sample
from torch.utils.data import DataLoader

from mmseg_uda.datasets import fixed_size
from mmseg_uda.datasets.batch import Views
from mmseg_uda.datasets.fixed_size import PILBlur, PILGrayscale
from mmseg_uda.datasets.source_target import SourceTargetDataset, collate_domains
from mmseg_uda.datasets.transforms import PackDomain
from mmseg_uda.datasets.views import MakeViews, View, view_geometry
from mmseg_uda.errors import UserError
from mmseg_uda.models import UDADataPreProcessor
from mmseg_uda.random import counter_random
from tests.datasets.test_source_target import config  # noqa: F401

NOISE = [
    dict(type='PILBlur', radius=(0.5, 2.0)),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='PILColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        ],
    ),
    dict(type='PILGrayscale', prob=0.2),
]
GROUP = [
    dict(type='LoadScaled', size=(64, 32), scales=(1.0, 1.1)),
    dict(type='PaddedCrop', crop_size=(32, 64)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='MakeViews', noise=NOISE),
    dict(type='PackDomain'),
]


def smooth(size: tuple[int, int] = (32, 64)) -> np.ndarray:
    """An image that bilinear interpolation reproduces: planes of different slopes."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    planes = 3 * rows + 2 * columns, 180 - 2 * rows - columns, 30 + 3 * columns
    return np.stack(planes, 2).clip(0, 255).astype(np.uint8)


def results(image: np.ndarray, **entries) -> dict:
    return dict(img=image, crop_size=image.shape[:2], img_path='x.png', seg_fields=[]) | entries


def seeded(transform: MakeViews, image: np.ndarray, seed: int = 1) -> dict:
    with counter_random(seed):
        return transform(results(image))['views']


def test_the_geometry_leads_from_the_image_to_the_view():
    """A warp by the inverse geometry of the image gives the view, except for rounding."""
    image = smooth()
    clean, geometry = seeded(MakeViews(number=6), image)['clean']
    assert geometry.shape == (6, 2, 3) and geometry.dtype == np.float32
    assert {float(np.sign(matrix[0, 0])) for matrix in geometry} == {-1.0, 1.0}
    square = torch.eye(3).repeat(6, 1, 1)
    square[:, :2] = torch.from_numpy(geometry)
    back = torch.linalg.inv(square)[:, :2]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float().expand(6, -1, -1, -1)
    grid = affine_grid(back, pixels.shape, align_corners=False)
    warped = grid_sample(pixels, grid, padding_mode='border', align_corners=False)
    views = torch.from_numpy(np.stack(clean)).permute(0, 3, 1, 2).float()
    inner = slice(2, -2)
    # the window has int(zoom * side) pixels, so a view may be off by a pixel's slope
    assert (warped - views)[..., inner, inner].abs().max() <= 3.5
    assert (pixels - views)[1:].abs().mean() > 5


def test_the_first_view_is_the_whole_image_or_its_mirror_image():
    image, found = smooth(), set()
    for seed in range(12):
        clean, geometry = seeded(MakeViews(), image, seed)['clean']
        flip = geometry[0][0, 0] < 0
        np.testing.assert_array_equal(geometry[0], [[-1 if flip else 1, 0, 0], [0, 1, 0]])
        np.testing.assert_array_equal(clean[0], image[:, ::-1] if flip else image)
        assert all(abs(matrix[1, 1]) > 1 for matrix in geometry[1:])
        found.add(bool(flip))
    assert found == {True, False}


def test_all_views_may_be_zoomed_and_none_flipped():
    maker = MakeViews(number=3, zoom=(0.5, 0.6), flip=False, first_whole=False)
    assert maker.noise is None
    for seed in range(6):
        views = seeded(maker, smooth(), seed)
        assert set(views) == {'clean'} and len(views['clean'][0]) == 3
        zooms = 1 / views['clean'][1][:, 1, 1]
        assert (views['clean'][1][:, 0, 0] > 0).all()
        assert ((zooms >= 0.5) & (zooms <= 0.6)).all()


def test_windows_are_drawn_over_the_whole_image():
    maker = MakeViews(zoom=(0.5, 1.0))
    random.seed(0)
    windows = [maker.draw((32, 64), 1) for _ in range(2000)]
    assert abs(np.mean([view.zoom for view in windows]) - 0.75) < 0.02
    assert abs(np.mean([view.flip for view in windows]) - 0.5) < 0.05
    for view in windows:
        assert (view.height, view.width) == (int(view.zoom * 32), int(view.zoom * 64))
        assert 0 <= view.top <= 32 - view.height and 0 <= view.left <= 64 - view.width
    assert any(view.top == 32 - view.height > 4 for view in windows)
    assert any(view.left == 64 - view.width > 9 for view in windows)


def test_a_window_is_cut_from_the_flipped_image():
    image = smooth((8, 12))
    view = View(True, 2, 1, 4, 6, 0.5)
    window = Image.fromarray(image[2:6, ::-1][:, 1:7])
    expected = window.resize((12, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(view.cut(image), np.asarray(expected))
    np.testing.assert_array_equal(view.geometry((8, 12)), [[-2, 0, 2 / 3], [0, 2, 0]])


def test_half_of_an_odd_side_is_rounded_as_published():
    expected = [[2, 0, -2 * 3 / 5], [0, 2, -2 * 1 / 4]]
    np.testing.assert_array_equal(view_geometry(1, 3, 2, 1, (9, 11)), expected)


def test_noisy_views_have_the_geometry_of_the_clean_ones():
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    views = seeded(MakeViews(noise=NOISE), image)
    (clean, geometry), (noisy, same) = views['clean'], views['noisy']
    assert same is geometry and len(noisy) == 4
    for one, two in zip(clean, noisy, strict=True):
        assert one.shape == two.shape == (32, 64, 3) and two.dtype == np.uint8
        assert two.std() < one.std()  # always blurred
    for one, two in zip(clean, seeded(MakeViews(), image)['clean'][0], strict=True):
        assert one.shape == two.shape


def test_noise_is_applied_with_its_probabilities(monkeypatch):
    calls = []
    monkeypatch.setattr(
        fixed_size, 'adjust_colour', lambda image, name, amount: calls.append(name) or image
    )
    maker = MakeViews(number=500, noise=NOISE)
    noisy, _ = seeded(maker, np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))[
        'noisy'
    ]
    grey = sum(bool((view == view[..., :1]).all()) for view in noisy)
    assert 200 < len(calls) / 4 < 300 and 70 < grey < 130


def test_grey_and_blur_are_pillows():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    grey = PILGrayscale(1.0)({'img': image})['img']
    luminance = np.asarray(Image.fromarray(image[..., ::-1].copy()).convert('L'))
    np.testing.assert_array_equal(grey, np.repeat(luminance[..., None], 3, 2))
    np.testing.assert_array_equal(PILGrayscale(0.0)({'img': image})['img'], image)
    blurred = PILBlur((1.5, 1.5))({'img': image})['img']
    expected = Image.fromarray(image[..., ::-1].copy()).filter(ImageFilter.GaussianBlur(1.5))
    np.testing.assert_array_equal(blurred[..., ::-1], np.asarray(expected))


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(number=0), 'number is 0'),
        (dict(zoom=(0.0, 1.0)), r'zoom is \(0.0, 1.0\)'),
        (dict(zoom=(0.5, 1.2)), 'at most 1'),
        (dict(zoom=(0.9, 0.5)), 'zoom is'),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(UserError, match=match):
        MakeViews(**options)


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(UserError, match='x.png: .* crop size, 40x64 .* this one has 32x64'):
        MakeViews()(results(smooth(), crop_size=(40, 64)))
    padding = np.zeros((32, 64), np.uint8)
    assert MakeViews()(results(smooth(), padding=padding))
    padding[3, 5] = 1
    with pytest.raises(UserError, match='x.png: MakeViews needs images without padding'):
        MakeViews()(results(smooth(), padding=padding))


def test_packed_and_normalised():
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    with counter_random(5):
        made = MakeViews(noise=NOISE)(results(image))
    packed = PackDomain()(made)['views']
    batch = UDADataPreProcessor()(
        dict(source=dict(image=torch.zeros(1, 3, 4, 4)), target=collate([packed, packed], image))
    ).target
    for name in ('clean', 'noisy'):
        views = batch.views[name]
        assert isinstance(views, Views) and views.images.shape == (2, 4, 3, 32, 64)
        assert views.geometry.shape == (2, 4, 2, 3)
        rgb = torch.from_numpy(np.stack(made['views'][name][0])[..., ::-1].copy()).float()
        norm = UDADataPreProcessor()
        expected = (rgb.permute(0, 3, 1, 2) - norm.mean) / norm.std
        assert torch.equal(views.images[1], expected)


def collate(views: list[dict], image: np.ndarray) -> dict:
    samples = [dict(image=torch.from_numpy(image).permute(2, 0, 1), views=v) for v in views]
    return collate_domains([dict(target=[sample], position=0) for sample in samples])['target']


def test_a_group_is_decoded_once_and_has_no_label(config, monkeypatch):  # noqa: F811
    config['target']['pipeline'] = GROUP
    dataset = SourceTargetDataset(**config, block=(1, 2))
    decoded, read = [], fixed_size.read_image
    monkeypatch.setattr(fixed_size, 'read_image', lambda path: decoded.append(path) or read(path))
    for position in range(3):
        groups = dataset[position]['target']
        assert decoded == [group['path'] for group in groups]
        decoded.clear()
        for group in groups:
            assert set(group) == {'image', 'padding', 'path', 'views'}
            assert not group['padding'].any()
            assert group['views']['noisy']['image'].shape == (4, 3, 32, 64)


def test_the_same_groups_with_workers(config):  # noqa: F811
    config['target']['pipeline'] = GROUP
    dataset = SourceTargetDataset(**config, block=(2, 1))
    runs = []
    for workers in (1, 2):
        loader = DataLoader(
            dataset, 2, sampler=range(4), num_workers=workers, collate_fn=collate_domains
        )
        runs.append([batch['target'] for batch in loader])
    for one, two in zip(*runs, strict=True):
        assert one['views']['clean']['image'].shape == (2, 4, 3, 32, 64)
        assert torch.equal(one['image'], two['image'])
        for name in ('clean', 'noisy'):
            for key in ('image', 'geometry'):
                assert torch.equal(one['views'][name][key], two['views'][name][key])


def test_views_of_another_pipeline(config):  # noqa: F811
    """DAFormer's sample is what it is without views."""
    plain = SourceTargetDataset(**config)
    steps = list(config['target']['pipeline'])
    steps.insert(-1, dict(type='MakeViews', number=3, first_whole=False))
    config['target']['pipeline'] = steps
    dataset = SourceTargetDataset(**config)
    for position in range(3):
        ((sample,), (expected,)) = (d[position]['target'] for d in (dataset, plain))
        assert torch.equal(sample['image'], expected['image'])
        assert torch.equal(sample['valid'], expected['valid'])
        assert set(sample['views']) == {'clean'}
        assert sample['views']['clean']['geometry'].shape == (3, 2, 3)
