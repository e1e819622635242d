import json

import numpy as np
import pytest

from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.comparison import (
    coloured,
    comparison_picture,
    comparison_rows,
    markdown,
    read_scores,
)


def scores(road: float, train: float | None, mean: float) -> dict:
    return {'mIoU': mean, 'classes': {'road': {'IoU': road}, 'train': {'IoU': train}}}


def test_rows_have_the_gain_of_the_last_run_over_the_first():
    rows = comparison_rows({'a': scores(50, None, 50), 'b': scores(80.5, 4, 42.25)})
    assert rows == [
        ['class', 'a', 'b', 'gain'],
        ['road', '50.00', '80.50', '+30.50'],
        ['train', '-', '4.00', '-'],
        ['mIoU', '50.00', '42.25', '-7.75'],
    ]


def test_one_run_has_no_gain():
    assert comparison_rows({'a': scores(50, 1, 25.5)})[0] == ['class', 'a']


def test_markdown_is_aligned():
    lines = markdown([['class', 'a'], ['road', '50.00']]).splitlines()
    assert lines == ['| class |     a |', '| ----- | ----: |', '| road  | 50.00 |']


def test_picture_has_a_tile_for_each_image():
    red = np.full((32, 64, 3), (255, 0, 0), np.uint8)
    blue = np.full((64, 128, 3), (0, 0, 255), np.uint8)
    picture = np.asarray(comparison_picture(['x', 'y'], [[red, blue]] * 3, tile_width=64))
    assert picture.shape == (16 + 3 * 36, 2 * 64 + 4, 3)
    assert (picture[20, 10] == red[0, 0]).all() and (picture[20, 100] == blue[0, 0]).all()


def test_ids_without_a_class_are_black():
    label = np.array([[0, 1, 255]], np.uint8)
    assert coloured(label, [(1, 2, 3), (4, 5, 6)]).tolist() == [[[1, 2, 3], [4, 5, 6], [0, 0, 0]]]


def test_scores_of_before_are_read_and_newer_ones_refused(tmp_path):
    path = tmp_path / 'scores.json'
    path.write_text(json.dumps(scores(50, 1, 25.5)))
    assert read_scores(path) == scores(50, 1, 25.5)
    path.write_text(json.dumps(scores(50, 1, 25.5) | {'schema': 2}))
    with pytest.raises(UserError, match=r'scores\.json has schema 2'):
        read_scores(path)


@pytest.mark.parametrize('text', [None, '{"a": 1}', '[]', '{'])
def test_files_without_scores_are_named(tmp_path, text):
    path = tmp_path / 'scores.json'
    if text:
        path.write_text(text)
    with pytest.raises(UserError, match='scores.json'):
        read_scores(path)


def test_scores_are_read_as_they_are(tmp_path):
    path = tmp_path / 'scores.json'
    path.write_text(json.dumps(scores(1, 2, 1.5)))
    assert read_scores(path) == scores(1, 2, 1.5)
