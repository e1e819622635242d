"""Geometry: shapes on planes, clipped to the image, drawn in order; depth from the planes."""

import numpy as np
import pytest

from mmseg_uda.toy.labels import CLASSES, TRAIN_IDS, label_id
from mmseg_uda.toy.looks import LAYOUTS, PALETTE
from mmseg_uda.toy.scene import Camera, Scene, Street, clip
from mmseg_uda.toy.street import compose
from mmseg_uda.toy.vehicles import Box, convex_hull

CAMERA = Camera(size=(64, 128), height=1.5, focal=100.0, horizon=28.0)


def empty_scene() -> Scene:
    scene = Scene(CAMERA, Street(0.0, 0.0, 0.0, 4.0, 4.0))
    canvas = [(0, 0), (127, 0), (127, 63), (0, 63)]
    scene.add(canvas, 'sky', 'sky', (0.0, 0.0, 0.0))
    return scene


def inverse(plane, pixel) -> float:
    return plane[0] + plane[1] * pixel[0] + plane[2] * pixel[1]


def test_planes_give_the_distance_of_projected_points():
    assert 1 / inverse(CAMERA.ground(), CAMERA.project(2.0, 0.0, 12.0)) == pytest.approx(12.0)
    assert 1 / inverse(CAMERA.upright(7.0), CAMERA.project(2.0, 1.0, 7.0)) == pytest.approx(7.0)
    along = CAMERA.along(3.0, 5.0, 4.0, 30.0)
    for share in (0.0, 0.3, 1.0):
        point = 3.0 + share, 2.0, 5.0 + 25.0 * share
        assert 1 / inverse(along, CAMERA.project(*point)) == pytest.approx(point[2])


def test_clip_cuts_at_the_border_and_drops_what_is_outside():
    assert clip([(-9, 1), (-1, 1), (-1, 5)], (64, 128)) == []
    cut = clip([(-10, 10), (10, 10), (10, 30), (-10, 30)], (64, 128))
    assert sorted(cut) == [(0, 10), (0, 30), (10, 10), (10, 30)]


def test_convex_hull_leaves_out_inner_points():
    assert set(convex_hull([(0, 0), (2, 0), (1, 1), (2, 2), (0, 2)])) == {
        (0, 0),
        (2, 0),
        (2, 2),
        (0, 2),
    }


def test_the_camera_sees_rear_and_inner_side_of_a_car_on_its_right():
    box = Box(x=5.0, z=15.0, heading=0.0, width=2.0, length=4.0, bottom=0.0, top=1.0)
    assert {face.name for face in box.faces(empty_scene())} == {'left', 'rear'}
    assert box.nearest() == pytest.approx(13.0)


def test_later_shapes_cover_earlier_ones_and_paint_leaves_labels_alone():
    scene = empty_scene()
    square = [(10, 10), (30, 10), (30, 30), (10, 30)]
    scene.add(square, 'building', 'facade', CAMERA.upright(20.0))
    scene.add(square, 'license plate', 'plate', CAMERA.upright(10.0))
    scene.add(square, '', 'glass', CAMERA.upright(10.0))
    ids = scene.label_ids(scene.label_map())
    assert ids[20, 20] == label_id('building') and ids[0, 0] == label_id('sky')
    scene.add(square, 'persongroup', 'trousers', CAMERA.upright(5.0))
    index = scene.label_map()
    assert scene.label_ids(index)[20, 20] == label_id('person')
    assert 1 / scene.inverse_depth(index)[20, 20] == pytest.approx(5.0)
    assert scene.picture_map(2).shape == (128, 256)


@pytest.mark.parametrize('look', LAYOUTS)
def test_every_class_occurs_and_the_layout_is_sane(look):
    size = 64, 128
    presence, pixels = np.zeros(256), np.zeros(256)
    for i in range(60):
        scene = compose(np.random.default_rng((3, i)), LAYOUTS[look], size)
        assert {shape.material for shape in scene.shapes} <= PALETTE.keys()
        index = scene.label_map()
        counts = np.bincount(TRAIN_IDS[scene.label_ids(index)].ravel(), minlength=256)
        presence += counts > 0
        pixels += counts
        depth = 1 / scene.inverse_depth(index)
        near, far = np.median(depth[-8:]), np.median(depth[:8])
        assert near < 12 and near < far
    absent = {'terrain', 'truck', 'train'} if look == 'sim' else set()
    for train_id, name in enumerate(CLASSES):
        assert (presence[train_id] > 0) == (name not in absent), name
    share = pixels / pixels.sum()
    assert share[CLASSES.index('road')] > 0.2
    for rare in ('train', 'motorcycle', 'bicycle', 'rider', 'traffic light'):
        assert share[CLASSES.index(rare)] < 0.02
