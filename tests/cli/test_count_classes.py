import json

import cv2
import numpy as np
import pytest

from mmseg_uda.errors import UserError
from tools.count_classes import main


def test_it_writes_what_rare_class_sampling_reads(tmp_path):
    label = np.array([[0, 0, 2], [255, 1, 1]], np.uint8)
    (tmp_path / 'labels').mkdir()
    cv2.imwrite(str(tmp_path / 'labels' / 'a.png'), label)
    main([str(tmp_path)])
    path = str(tmp_path / 'labels' / 'a.png')
    stats = json.loads((tmp_path / 'sample_class_stats.json').read_text())
    assert stats == [{'0': 2, '1': 2, '2': 1, 'file': path}]
    with_class = json.loads((tmp_path / 'samples_with_class.json').read_text())
    assert with_class == {'0': [[path, 2]], '1': [[path, 2]], '2': [[path, 1]]}


def test_no_labels_and_colour_images_are_refused(tmp_path):
    with pytest.raises(UserError, match=r'labels holds no file that ends in \.png'):
        main([str(tmp_path)])
    (tmp_path / 'labels').mkdir()
    cv2.imwrite(str(tmp_path / 'labels' / 'a.png'), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r'a\.png'):
        main([str(tmp_path)])
