"""The page about your own data: its config trains, tests and infers as printed there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.cli import count_classes, infer, test, train
from tests.tiny_training import ROOT

PAGE = (ROOT / 'docs/own_data.md').read_text()
CONFIG = 'configs/my/config.py'
# The page's crops have 512 x 512 pixels; only sizes, lengths and workers are changed.
TINY = [
    'train_cfg.max_iters=2',
    'train_cfg.val_interval=2',
    'param_scheduler.0.warmup_iters=1',
    'train_dataloader.dataset.rare_class_sampling.min_pixels=50',
    *(f'train_dataloader.dataset.{d}.pipeline.0.scale=(96,64)' for d in ('source', 'target')),
    *(f'train_dataloader.dataset.{d}.pipeline.0.crop_size=(64,64)' for d in ('source', 'target')),
    'val_dataloader.dataset.pipeline.1.scale=(96,64)',
    'test_dataloader.dataset.pipeline.1.scale=(96,64)',
    *(
        f'{loader}_dataloader.{option}'
        for loader in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
]

pytestmark = pytest.mark.usefixtures('one_thread')


def write_scene(image: Path, label: Path | None, size: tuple[int, int], seed: int) -> None:
    """Write an image (H, W) of three stripes, and its label with some ignored rows."""
    rng = np.random.default_rng(seed)
    classes = np.broadcast_to(np.arange(size[1]) * 3 // size[1], size).astype(np.uint8)
    picture = 80 * classes[..., None] + rng.integers(0, 80, (*size, 3), dtype=np.uint8)
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(image)
    if label is not None:
        classes = classes.copy()
        classes[:3] = 255
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(classes).save(label)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the page's config and data of odd sizes, laid out as on the page."""
    config = tmp_path / CONFIG
    config.parent.mkdir(parents=True)
    (text,) = re.findall(r'^```python\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    config.write_text(text)
    (tmp_path / 'configs/_base_').symlink_to(ROOT / 'configs/_base_')
    simulator, camera = tmp_path / 'data/simulator', tmp_path / 'data/camera'
    for number in range(3):
        write_scene(
            simulator / f'images/{number}.png',
            simulator / f'labels/{number}_labelTrainIds.png',
            (75, 131),
            number,
        )
        write_scene(camera / f'train/{number}.jpg', None, (67, 101), 10 + number)
    for number in range(1):
        write_scene(
            camera / f'test/{number}.jpg', camera / f'test_labels/{number}.png', (67, 101), number
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(name: str) -> list[str]:
    """Arguments of the page's only call of a tool."""
    (line,) = re.findall(rf'^python tools/{name}\.py (.*)$', PAGE, re.MULTILINE)
    return line.split()


def test_the_config_of_the_page_trains_is_tested_and_infers(project):
    count_classes.main(command('count_classes'))
    train.main([CONFIG, '--work-dir', 'run', '--cfg-options', *TINY])
    log = next(Path('run').glob('*/*.log')).read_text()
    assert ' mIoU: ' in log and 'no pixel of these classes' not in log

    given = ['run/iter_2.pth' if word == 'CHECKPOINT' else word for word in command('test')]
    test.main([*given, '--work-dir', 'tested', '--cfg-options', *TINY])
    scores = json.loads(Path('tested/scores.json').read_text())
    assert list(scores['classes']) == ['road', 'car', 'rest'] and scores['meta']['images'] == 1
    assert scores['classes']['road']['pixels'] == 64 * 34  # at the labels' own size

    given = ['run/iter_2.pth' if word == 'CHECKPOINT' else word for word in command('infer')]
    infer.main(given)
    with Image.open('predictions/labels/0.png') as label:
        assert label.size == (101, 67) and np.asarray(label).max() < 3
        assert label.getpalette()[:9] == [128, 64, 128, 0, 0, 142, 70, 70, 70]


def test_training_warns_once_of_a_class_that_never_occurs(project):
    for path in Path('data/simulator/labels').iterdir():
        label = np.array(Image.open(path))
        label[label == 1] = 0
        Image.fromarray(label).save(path)
    options = 'train_dataloader.dataset.rare_class_sampling=None'
    kept = [option for option in TINY if 'rare_class' not in option]
    train.main([CONFIG, '--work-dir', 'run', '--cfg-options', *kept, options])
    log = next(Path('run').glob('*/*.log')).read_text()
    (line,) = [line for line in log.splitlines() if 'no pixel of these classes' in line]
    assert 'WARNING' in line and line.endswith('the 3 source labels: 1 (car)')
