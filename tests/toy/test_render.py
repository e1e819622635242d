"""Pictures of scenes in the four looks."""

import numpy as np
import pytest

from mmseg_uda.toy.looks import LAYOUTS, LOOKS, PALETTE, palette
from mmseg_uda.toy.render import render
from mmseg_uda.toy.street import compose


@pytest.fixture(scope='module')
def pictures():
    scene = compose(np.random.default_rng(5), LAYOUTS['city'], (64, 128))
    return scene, {look: render(scene, look, np.random.default_rng(1)) for look in LOOKS}


def test_every_look_shows_the_same_scene_in_its_own_way(pictures):
    scene, images = pictures
    for image in images.values():
        assert image.shape == (64, 128, 3) and image.dtype == np.uint8
        assert image.std() > 10
    assert np.abs(images['game'].astype(int) - images['city']).mean() > 15


def test_night_is_dark():
    means = []
    for i in range(8):
        scene = compose(np.random.default_rng((4, i)), LAYOUTS['city'], (64, 128))
        means.append([render(scene, look, np.random.default_rng(i)).mean() for look in LOOKS])
    brightness = dict(zip(LOOKS, np.transpose(means), strict=True))
    # a near street lamp can brighten a single picture, so the mean is tested
    assert brightness['night'].mean() < 0.6 * brightness['city'].mean()
    assert (brightness['night'] < brightness['city']).all()


def test_a_picture_depends_on_its_generator_alone(pictures):
    scene, images = pictures
    again = render(scene, 'city', np.random.default_rng(1))
    other = render(scene, 'city', np.random.default_rng(2))
    assert np.array_equal(again, images['city']) and not np.array_equal(other, again)


def test_the_palette_has_colours_for_every_look():
    for look in LOOKS:
        colours = palette(look)
        assert colours.keys() == PALETTE.keys()
        assert all(len(row) and 0 <= min(min(c) for c in row) for row in colours.values())
