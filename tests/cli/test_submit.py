import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.cli.submit import main
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.export import write_label

SIZE = 9, 16
NAMES = [f'GOPR0356_frame_{number:06}_rgb_anon.png' for number in range(3)]
FOLDERS = ['labelTrainIds', 'labelTrainIds_invalid', 'confidence']


@pytest.fixture
def labels(tmp_path) -> Path:
    """A folder of labels next to ``images``."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        image = tmp_path / 'images/GOPR0356' / name
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(image)
        label = rng.integers(0, 19, SIZE, dtype=np.uint8)
        label[0] = 255
        write_label(tmp_path / 'labels' / name, label)
    return tmp_path / 'labels'


def submit(labels: Path) -> Path:
    out = labels.parent / 'submit.zip'
    images = str(labels.parent / 'images')
    main(['dark-zurich', str(labels), '--out', str(out), '--images', images])
    return out


def content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_three_folders_of_the_labels(labels, capsys):
    found = content(submit(labels))
    assert sorted(found) == sorted(f'{folder}/{name}' for folder in FOLDERS for name in NAMES)
    for folder in FOLDERS:
        for name in NAMES:
            assert found[f'{folder}/{name}'] == (labels / name).read_bytes()
    assert '3 labels' in capsys.readouterr().out
    first = (labels.parent / 'submit.zip').read_bytes()
    assert submit(labels).read_bytes() == first


def test_own_confidence(labels):
    root = labels.parent / 'predictions'
    shutil.copytree(labels, root / 'labelTrainIds')
    (root / 'confidence').mkdir()
    for name in NAMES:
        Image.fromarray(np.full(SIZE, 7, np.uint16)).save(root / 'confidence' / name)
    found = content(submit(root))
    assert found[f'labelTrainIds_invalid/{NAMES[0]}'] == found[f'labelTrainIds/{NAMES[0]}']
    assert found[f'confidence/{NAMES[0]}'] != found[f'labelTrainIds/{NAMES[0]}']
    (root / 'confidence' / NAMES[1]).unlink()
    with pytest.raises(UserError, match=f'confidence lacks 1 files, {NAMES[1]}'):
        submit(root)


def test_every_problem_is_named_and_nothing_written(labels):
    path = labels / NAMES[0]
    write_label(path, np.full(SIZE, 19, np.uint8))
    (labels / NAMES[1]).unlink()
    write_label(labels / 'stray_rgb_anon.png', np.zeros(SIZE, np.uint8))
    write_label(labels / NAMES[2], np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError) as caught:
        submit(labels)
    message = str(caught.value)
    assert f'{NAMES[0]}: holds [19]' in message
    assert f'lacks 1 files, {NAMES[1]}' in message
    assert 'stray_rgb_anon.png' in message
    assert f'{NAMES[2]}: has 4 x 4 pixels, not 16 x 9' in message
    assert not list(labels.parent.glob('*.zip'))


def test_colours_and_damaged_files(labels):
    Image.new('RGB', SIZE[::-1]).save(labels / NAMES[0])
    (labels / NAMES[1]).write_bytes(b'no picture')
    with pytest.raises(UserError, match='mode RGB.*cannot be read'):
        submit(labels)


def test_without_the_images_the_real_number_and_size_count(labels, monkeypatch, capsys):
    monkeypatch.chdir(labels.parent)
    with pytest.raises(UserError, match='3 files, the test set has 151 images.*not 1920 x 1080'):
        main(['dark-zurich', 'labels', '--out', 'submit.zip'])
    assert 'names of labels are not checked' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['labels', '--out', 'x.tar'], 'must end in .zip'),
        (['nowhere', '--out', 'x.zip', '--images', 'images'], 'nowhere does not exist'),
        (['labels', '--out', 'x.zip', '--images', 'labels/none'], 'holds no images'),
        (['labels', '--out', 'images/GOPR0356/x/../' + NAMES[0] + '/x.zip'], 'cannot write'),
    ],
)
def test_wrong_arguments(labels, monkeypatch, arguments, message):
    monkeypatch.chdir(labels.parent)
    if message == 'cannot write':
        arguments += ['--images', 'images']
    with pytest.raises(UserError, match=message):
        main(['dark-zurich', *arguments])
