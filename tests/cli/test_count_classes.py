import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_uda.cli.count_classes import main
from mmseg_uda.errors import UserError


def write_labels(folder: Path, *labels: np.ndarray) -> list[str]:
    (folder / 'labels').mkdir(exist_ok=True)
    paths = [str(folder / 'labels' / f'{number}.png') for number in range(len(labels))]
    for path, label in zip(paths, labels, strict=True):
        assert cv2.imwrite(path, label)
    return paths


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
    with pytest.raises(UserError, match=r'labels contains no file that ends in \.png'):
        main([str(tmp_path)])
    (tmp_path / 'labels').mkdir()
    cv2.imwrite(str(tmp_path / 'labels' / 'a.png'), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r'a\.png'):
        main([str(tmp_path)])


def test_it_prints_the_histogram_and_warns_of_classes_that_never_occur(tmp_path, capsys):
    first = np.array([[0, 0, 2, 255]], np.uint8)
    write_labels(tmp_path, first, np.array([[0, 0, 0, 0]], np.uint8))
    main([str(tmp_path), '--classes', 'road', 'car', 'rest'])
    shown, warned = capsys.readouterr()
    rows = [line.split() for line in shown.splitlines()]
    assert rows == [
        ['value', 'class', 'pixels', 'share', 'labels'],
        ['0', 'road', '6', '75.00%', '2'],
        ['1', 'car', '0', '0.00%', '0'],
        ['2', 'rest', '1', '12.50%', '1'],
        ['255', 'ignore', '1', '12.50%', '1'],
    ]
    warnings = [line for line in warned.splitlines() if line.startswith('warning')]
    assert warnings == ['warning: no pixel of these classes is in the 2 labels: 1 (car)']


def test_it_warns_of_masks_of_0_and_255_and_of_empty_labels(tmp_path, capsys):
    mask = np.full((10, 10), 255, np.uint8)
    mask[0, :5] = 0
    paths = write_labels(tmp_path, mask, np.full((10, 10), 255, np.uint8))
    main([str(tmp_path), '--classes', 'background', 'foreground'])
    warned = capsys.readouterr().err
    assert 'class 0 (background) is the only one' in warned and 'masks hold 0 and 255' in warned
    assert f'1 of the 2 labels have no labelled pixel (all 255), first {paths[1]}' in warned
    assert '97.5% of the pixels in the 2 labels are 255' in warned


def test_good_labels_give_no_warning_and_classes_above_18_are_counted(tmp_path, capsys):
    (path,) = write_labels(tmp_path, np.arange(30, dtype=np.uint8)[None])
    main([str(tmp_path)])
    assert 'warning' not in capsys.readouterr().err
    with_class = json.loads((tmp_path / 'samples_with_class.json').read_text())
    assert with_class == {str(index): [[path, 1]] for index in range(30)}


def test_values_that_are_no_class_and_values_above_255_are_refused(tmp_path):
    (path,) = write_labels(tmp_path, np.array([[0, 3]], np.uint8))
    with pytest.raises(UserError, match=f'{path}: label value 3 is neither one of the 3 classes'):
        main([str(tmp_path), '--classes', 'a', 'b', 'c'])
    write_labels(tmp_path, np.array([[0, 300]], np.uint16))
    with pytest.raises(UserError, match=f'{path}: label value 300'):
        main([str(tmp_path)])
    assert not list(tmp_path.glob('*.json'))


def test_one_bit_and_palette_labels_are_counted_as_training_reads_them(tmp_path):
    (tmp_path / 'labels').mkdir()
    values = np.array([[0, 1, 1]], np.uint8)
    Image.fromarray(values > 0).save(tmp_path / 'labels' / 'bits.png')
    picture = Image.fromarray(values)
    picture.putpalette([10, 20, 30, 200, 100, 0])
    picture.save(tmp_path / 'labels' / 'palette.png')
    main([str(tmp_path)])
    stats = json.loads((tmp_path / 'sample_class_stats_dict.json').read_text())
    assert list(stats.values()) == [{'0': 1, '1': 2}] * 2
