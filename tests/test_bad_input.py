"""Bad input: one clear line that names the file or value, status 2, and no work is lost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_uda.cli import convert, test, train
from mmseg_uda.cli import run as run_experiments
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.tiny_training import ROOT, failure, start, write_config

pytestmark = pytest.mark.usefixtures('one_thread')

SOURCE = 'train_dataloader.dataset.source'
# Runs a command where files cannot exceed 20 MB, so its checkpoint does not fit, as on a full disk
# (Python turns the signal into an OSError on writing).
FULL_DISK = """
import resource, sys
from mmseg_uda.errors import run_cli
from mmseg_uda.cli.train import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, resource.RLIM_INFINITY))
run_cli(lambda: main(sys.argv[1:]))
"""


class Poison:
    """Runs code when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.fixture
def train_error(tiny_config, tmp_path, capfd):
    """Train with overrides; return the error line. Nothing may be left to resume."""

    def run(*options: str, config: str = tiny_config) -> str:
        line = failure(
            capfd, train.main, config, '--work-dir', tmp_path / 'run', '--cfg-options', *options
        )
        assert not checkpoints(tmp_path / 'run')
        return line

    return run


@pytest.fixture
def own_world(world, tmp_path) -> Path:
    """A copy of the toy world, to be damaged."""
    return Path(shutil.copytree(world, tmp_path / 'world'))


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    options = ['--cfg-options', 'train_cfg.max_iters=1', 'train_cfg.val_interval=9']
    train.main([tiny_config, '--work-dir', str(folder), *options])
    return folder


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize('loader', ['train_dataloader.dataset.source', 'val_dataloader.dataset'])
def test_wrong_data_root(train_error, loader):
    line = train_error(f'{loader}.data_root=/no/such')
    assert 'no folder /no/such/' in line and 'is data_root right?' in line


@pytest.mark.parametrize('dataset', ['train_dataloader.dataset.target', 'val_dataloader.dataset'])
def test_empty_split(train_error, tmp_path, dataset):
    (tmp_path / 'empty').mkdir()
    options = [f'{dataset}.data_prefix.img_path={tmp_path}/empty']
    assert f'no images *_leftImg8bit.png in {tmp_path}/empty' in train_error(*options)


def test_label_with_an_unknown_id_is_not_converted(own_world, capfd):
    label = own_world / 'gta/labels/00003.png'
    with Image.open(label) as picture:
        ids = np.array(picture)
        palette = picture.getpalette()
    ids[0, 0] = 200
    changed = Image.fromarray(ids)
    changed.putpalette(palette)
    changed.save(label)
    statistics = (own_world / 'gta/sample_class_stats.json').read_bytes()
    line = failure(capfd, convert.main, 'gta', own_world / 'gta', '--nproc', '1')
    assert str(label) in line and '200' in line
    assert (own_world / 'gta/sample_class_stats.json').read_bytes() == statistics


@pytest.mark.parametrize('workers', [0, 2])
def test_label_value_that_is_no_class(own_world, tmp_path, train_error, workers):
    for label in (own_world / 'gta/labels').glob('*_labelTrainIds.png'):
        Image.fromarray(np.full((64, 128), 77, np.uint8)).save(label)
    config = write_config(tmp_path / 'config.py', own_world)
    line = train_error(f'train_dataloader.num_workers={workers}', config=config)
    assert f'{own_world}/gta/labels/0' in line and 'label value 77' in line


@pytest.mark.parametrize('workers', [0, 2])
def test_truncated_training_image(own_world, tmp_path, train_error, workers):
    for image in (own_world / 'gta/images').iterdir():
        cut(image)
    config = write_config(tmp_path / 'config.py', own_world)
    line = train_error(f'train_dataloader.num_workers={workers}', config=config)
    assert f'{own_world}/gta/images/0' in line and 'cut off' in line


def test_truncated_validation_image(own_world, tmp_path, capfd):
    # The first image is loaded before the training.
    image = max((own_world / 'cityscapes').glob('leftImg8bit/val/*/*.png'))
    cut(image)
    config = write_config(tmp_path / 'config.py', own_world)
    options = ['--cfg-options', 'train_cfg.val_interval=2', 'val_dataloader.num_workers=1']
    line = failure(capfd, train.main, config, '--work-dir', tmp_path / 'run', *options)
    assert str(image) in line
    assert [path.name for path in checkpoints(tmp_path / 'run')] == ['iter_2.pth']


def test_truncated_label_is_not_converted(own_world, capfd):
    label = cut(own_world / 'gta/labels/00003.png')
    label.with_name('00003_labelTrainIds.png').unlink()
    assert str(label) in failure(capfd, convert.main, 'gta', own_world / 'gta', '--nproc', '2')
    polygons = cut(next((own_world / 'cityscapes').rglob('train/*/*_polygons.json')))
    target = polygons.with_name(polygons.name.replace('polygons.json', 'labelTrainIds.png'))
    target.unlink()
    assert str(polygons) in failure(capfd, convert.main, 'cityscapes', own_world / 'cityscapes')
    assert not target.exists()


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('max_iters=3', 'no key max_iters'),
        ('model.no_such=1', 'SelfTraining'),
        ('model.segmentor.backbone.no_such=1', 'MiT'),
        ('model.addons.feature_distance.no_such=1', 'FeatureDistance'),
        ('train_dataloader.dataset.rare_class_sampling.no_such=1', 'RareClassSampling'),
        ('val_evaluator.no_such=1', 'SegmentationMetric'),
        ('optim_wrapper.optimizer.no_such=1', 'AdamW'),
        ('optim_wrapper.paramwise_cfg.custom_key=1', 'did you mean custom_keys'),
        ('optim_wrapper.optimizer.type=Adamm', 'Adamm is not a known optimiser'),
        ('param_scheduler.0.no_such=1', 'no_such'),
        ('model.type=SelfTrainin', 'SelfTrainin is not in the mmseg::model registry'),
        ("param_scheduler=[dict(type='PolyLR',end=3)]", 'cannot be read as a value'),
    ],
)
def test_unknown_key_or_name(train_error, option, message):
    assert message in train_error(option)


def test_missing_pretrained_weights(train_error):
    line = train_error('model.segmentor.pretrained=/no/such/mit_b0.pth')
    assert '/no/such/mit_b0.pth do not exist' in line and 'SegFormer' in line


@pytest.mark.parametrize('key', ['model.segmentor.pretrained', 'load_from'])
def test_poisoned_and_damaged_weights(train_error, world, tmp_path, key):
    flag, path = tmp_path / 'was_run', tmp_path / 'weights.pth'
    torch.save({'state_dict': Poison(flag)}, path)
    assert str(path) in train_error(f'{key}={path}')
    shutil.copy(world / 'mit_b0.pth', path)
    assert str(cut(path)) in train_error(f'{key}={path}')
    assert not flag.exists()


def test_poisoned_checkpoint(tiny_config, tmp_path, capfd):
    flag, work_dir = tmp_path / 'was_run', tmp_path / 'run'
    work_dir.mkdir()
    path = work_dir / 'iter_2.pth'
    torch.save({'state_dict': {}, 'meta': Poison(flag)}, path)
    content = path.read_bytes()
    message = f'{path} is not loaded'
    line = failure(capfd, test.main, tiny_config, path, '--eval', 'mIoU')
    assert message in line and 'mkdir' in line and 'weights_only' not in line
    line = failure(capfd, train.main, tiny_config, '--work-dir', work_dir, '--resume')
    assert message in line
    assert not flag.exists() and path.read_bytes() == content


def test_checkpoint_of_another_architecture(tiny_config, trained, capfd):
    before = (trained / 'iter_1.pth').read_bytes()
    other = ['--cfg-options', 'model.segmentor.decode_head.channels=16']
    line = failure(capfd, test.main, tiny_config, trained / 'iter_1.pth', '--eval', 'mIoU', *other)
    assert 'does not fit this architecture' in line
    command = [tiny_config, '--work-dir', trained, '--resume', '--accept-changes', *other]
    line = failure(capfd, train.main, *command)
    assert f'{trained}/iter_1.pth does not fit this architecture' in line
    assert (trained / 'iter_1.pth').read_bytes() == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--seed', '3'], 'use --seed 0'),
        (
            ['--cfg-options', 'param_scheduler=[]'],
            'config.param_scheduler.0.begin: 0 -> (not set)',
        ),
        (
            ['--accept-changes', '--cfg-options', 'optim_wrapper.optimizer.type=NAdam'],
            'A training cannot be resumed with another optimiser: start a new one from the weights',
        ),
        (
            ['--accept-changes', '--cfg-options', 'optim_wrapper.paramwise_cfg.bias_lr_mult=3'],
            'do not fit this config',
        ),
    ],
)
def test_checkpoint_of_another_run(tiny_config, trained, capfd, options, message):
    command = [tiny_config, '--work-dir', trained, '--resume', *options]
    assert message in failure(capfd, train.main, *command)
    assert load_checkpoint(trained / 'iter_1.pth')['meta']['iter'] == 1


def test_checkpoint_beyond_the_end(tiny_config, trained, tmp_path, capfd):
    checkpoint = load_checkpoint(trained / 'iter_1.pth')
    checkpoint['meta']['iter'] = 9
    torch.save(checkpoint, tmp_path / 'iter_9.pth')
    line = failure(capfd, train.main, tiny_config, '--work-dir', tmp_path, '--resume')
    assert 'iter_9.pth is beyond the 6 iterations' in line


def test_full_disk_keeps_what_is_there(tiny_config, trained, tmp_path):
    old = tmp_path / 'iter_1.pth'
    shutil.copy(trained / old.name, old)
    before = old.read_bytes()
    with open(tmp_path / 'stderr', 'w') as stderr:
        command = [tiny_config, '--work-dir', tmp_path, '--resume', '--accept-changes']
        process = start('-c', FULL_DISK, *command, stderr=stderr)
        assert process.wait() == 2
    (line,) = (tmp_path / 'stderr').read_text().splitlines()
    assert f'error: cannot write {tmp_path}/iter_2.pth' in line and '--resume' in line
    assert 'File too large' in line
    assert old.read_bytes() == before
    assert not list(tmp_path.glob('.iter_*')) and len(checkpoints(tmp_path)) == 1


def test_front_door_says_the_same(tiny_config, tmp_path, capfd):
    arguments = ['--config', tiny_config, '--work-dir', tmp_path / 'run', '--cfg-options']
    line = failure(capfd, run_experiments.main, *arguments, f'{SOURCE}.data_root=/no/such')
    assert 'no folder /no/such/images' in line


@pytest.mark.parametrize('module', ['mmseg_uda.cli.train', 'mmseg_uda.cli.run'])
def test_help_is_light(module):
    code = (
        f'import sys, {module} as command\n'
        'try:\n    command.main(["--help"])\n'
        'except SystemExit as end:\n    assert not end.code\n'
        'assert not {"torch", "mmseg", "mmengine"} & sys.modules.keys()'
    )
    assert start('-c', code, cwd=ROOT).wait() == 0
