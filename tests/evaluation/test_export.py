import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.labels import CITYSCAPES_TO_TRAIN, PALETTE
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation import export

LABEL = np.arange(19, dtype=np.uint8).repeat(4).reshape(4, 19)


def test_names_are_base_names_where_they_differ():
    assert export.output_names(['/data/a/x_1.png', '/data/b/x_2.jpg']) == ['x_1', 'x_2']


def test_names_take_folders_where_base_names_collide():
    names = export.output_names(['/data/a/1.png', '/data/b/1.png', '/data/b/2.png'])
    assert names == ['a/1', 'b/1', 'b/2']


def test_images_that_differ_in_their_suffix_alone_are_an_error():
    with pytest.raises(UserError, match='/d/a.png and /d/a.jpg'):
        export.output_names(['/d/b.png', '/d/a.png', '/d/a.jpg'])


@pytest.mark.parametrize(('palette', 'mode'), [(None, 'L'), (PALETTE, 'P')])
def test_labels_come_back_as_written(tmp_path, palette, mode):
    export.write_label(tmp_path / 'city' / 'a.png', LABEL, palette)
    with Image.open(tmp_path / 'city' / 'a.png') as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), LABEL)
        if palette:
            np.testing.assert_array_equal(
                np.asarray(image.convert('RGB')), np.array(PALETTE)[LABEL]
            )


def test_label_ids_lead_back_to_train_ids():
    ids = export.to_label_ids(LABEL)
    assert ids.dtype == np.uint8 and ids[0, 0] == 7 and ids[-1, -1] == 33
    np.testing.assert_array_equal(np.vectorize(CITYSCAPES_TO_TRAIN.get)(ids), LABEL)


def test_overlay_blends_in_rgb(tmp_path):
    image = np.full((4, 19, 3), (0, 100, 200), np.uint8)  # BGR
    export.write_overlay(tmp_path / 'a.png', image, LABEL, PALETTE, 0.25)
    blended = cv2.imread(str(tmp_path / 'a.png'))[..., ::-1]
    expected = 0.75 * np.array([200, 100, 0]) + 0.25 * np.array(PALETTE)[LABEL]
    assert np.abs(blended - expected).max() <= 0.51


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot write'):
        export.write_label(tmp_path / 'file' / 'a.png', LABEL)


def test_writer_finishes_all_jobs_and_reports_their_errors():
    done = []
    with export.BackgroundWriter(threads=2) as writer:
        for number in range(20):
            writer.submit(done.append, number)
    assert sorted(done) == list(range(20))

    def fail() -> None:
        raise UserError('disk is full')

    with pytest.raises(UserError, match='disk is full'):
        with export.BackgroundWriter() as writer:
            writer.submit(fail)
