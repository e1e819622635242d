"""All problems in a config and its data are reported together, before the first step."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS
from PIL import Image

import mmseg_uda.register  # noqa: F401
from mmseg_uda.cli import train
from mmseg_uda.engine.checks import config_problems, fits
from mmseg_uda.errors import run_cli
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components import category_dictionary
from tests.tiny_training import ROOT, SIZE, failure, write_config

pytestmark = pytest.mark.usefixtures('one_thread')

CONFIGS = [p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts]
# (height, width) of the images of the data sets; for the toy world by folder.
NATIVE = {
    'GTADataset': (1052, 1914),
    'SYNTHIADataset': (760, 1280),
    'CityscapesDataset': (1024, 2048),
    'PseudoLabelDataset': (1024, 2048),
    'CrossCityDataset': (1024, 2048),
    'DarkZurichDataset': (1080, 1920),
    'DarkZurichDayNightDataset': (1080, 1920),
    'ACDCDataset': (1080, 1920),
}
TOY = {'data/toy_hr/': (256, 512), 'data/toy/': (128, 256)}


@pytest.mark.parametrize(
    ('value', 'kind', 'expected'),
    [
        (1, float, True),
        (True, float, False),
        ('x', float, False),
        (1.5, int, False),
        (True, int, False),
        (1, bool, False),
        (None, float | None, True),
        ('same', float | Literal['same'], True),
        ('other', float | Literal['same'], False),
        ([1, 2], Sequence[int], True),
        ((1, 2), list[float], True),
        ((1, 2), tuple[int, int], True),
        ([1, 'x'], Sequence[int], False),
        ('12', Sequence[int], False),
        ({'a': 1}, dict | None, True),
        ({'a': 1}, Mapping[str, int], True),
        ([1], dict, False),
        ('data', str | Path, True),
        ('anything', Any, True),
    ],
)
def test_a_value_fits_an_annotation(value, kind, expected):
    assert fits(value, kind) == expected


@pytest.fixture
def problems(capsys, tmp_path):
    """Train with a config; return the lines of the error. Nothing may have been written."""

    def run(config: str, *options: str) -> list[str]:
        with pytest.raises(SystemExit) as end:
            command = [config, '--work-dir', str(tmp_path / 'run'), '--cfg-options', *options]
            run_cli(lambda: train.main(command))
        assert end.value.code == 2 and not list((tmp_path / 'run').glob('*.pth'))
        first, *lines = capsys.readouterr().err.partition('error: ')[2].splitlines()
        assert first.startswith(f'config {config}:')
        return [first.removeprefix(f'config {config}:').strip(), *map(str.strip, lines)]

    return run


THREE = "dict(classes=('road', 'car', 'rest'), palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])"
OWN = """
own = dict(
    _delete_=True, type='BaseSegDataset', metainfo={meta}, data_root=WORLD + '/own',
    data_prefix=dict(img_path='images', seg_map_path='labels'), pipeline=source_pipeline,
)
train_dataloader['dataset'] |= dict(rare_class_sampling=None, source=own)
model['addons'] = dict(
    feature_distance=dict(type='FeatureDistance'),
    margins=dict(type='IgnoreMargins', top=15, bottom=120),
)
"""


def test_all_problems_are_in_one_message(world, problems, tmp_path):
    """A user's first config: three classes, everything else as for Cityscapes."""
    for folder, kind in (('images', 'jpg'), ('labels', 'png')):
        (world / 'own' / folder).mkdir(parents=True, exist_ok=True)
        shape = (96, 160, 3) if kind == 'jpg' else (96, 160)
        Image.fromarray(np.zeros(shape, np.uint8)).save(world / 'own' / folder / f'a.{kind}')
    config = write_config(tmp_path / 'own.py', world, OWN.format(meta=THREE))
    first, *lines = problems(
        config, 'model.threshold=x', 'train_cfg.max_iters=3', 'param_scheduler.0.warmup_iters=3'
    )
    assert first == ''
    expected = [
        "model.threshold is 'x', it must be a number or None",
        'val_dataloader.dataset has 19 classes, the source data set 3 (road, car, rest)',
        'train_dataloader.dataset.target has 19 classes, the source data set 3',
        'num_classes of model.segmentor.decode_head is 19, but the data set has 3 classes',
        'FeatureDistance.classes lists 6, 7, 11, 12, 13, 14, 15, 16, 17, 18, but the data',
        'IgnoreMargins ignores 15 rows at the top and 120 at the bottom, which is all of a target '
        f'crop of {SIZE[0]} rows',
    ]
    for text in expected:
        assert sum(text in line for line in lines) == 1, text
    assert len(lines) >= len(expected)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('train_cfg.max_iters=0', 'train_cfg.max_iters is 0, it must be a positive integer'),
        ('train_cfg.max_iters=-5', 'train_cfg.max_iters is -5'),
        ('train_cfg.max_iters=x', "train_cfg.max_iters is 'x'"),
        ('train_cfg.max_iters=2.5', 'train_cfg.max_iters is 2.5'),
        ('model.alpha=high', "model.alpha is 'high', it must be a number"),
        ('model.blur=2', 'model.blur is 2, it must be True or False'),
        ('model.alfa=1.0', 'alfa is not a known option of SelfTraining; did you mean alpha?'),
        (
            'model.addons.feature_distance.waight=1.0',
            'model.addons.feature_distance.waight is not a known option of FeatureDistance; did',
        ),
        ('model.addons.feature_distance.classes=3', 'classes is 3, it must be a list or None'),
        ('train_dataloader.dataset.target=None', 'SelfTraining needs target images'),
        ('target_pipeline.0.crop_size=(32,64)', 'has no key target_pipeline'),
        (
            'train_dataloader.dataset.target.pipeline.0.crop_size=(32,64)',
            'source images of 64x128 pixels cannot be mixed with target images of 32x64',
        ),
        ('model.segmentor.class_weight=[1.0,2.0]', 'class_weight has 2 numbers, but the data set'),
    ],
)
def test_one_problem_is_one_line(tiny_config, tmp_path, capfd, option, message):
    line = failure(capfd, train.main, tiny_config, '--work-dir', tmp_path, '--cfg-options', option)
    assert message in line


def test_a_warm_up_must_end_before_the_training(tiny_config, world, tmp_path, problems):
    more = "param_scheduler = [dict(type='WarmupPolyLR', warmup_iters=6, by_epoch=False)]\n"
    (line,) = problems(write_config(tmp_path / 'long.py', world, more), 'model.seed=0')
    assert line.startswith('param_scheduler.0.warmup_iters is 6, but the training ends after 6')


def test_target_crops_of_sepico_must_be_those_of_the_source(world, tmp_path, problems):
    more = """
model = dict(crop_size=(48, 64), start_iteration=1)
train_dataloader['dataset']['target']['pipeline'] = [
    dict(type='LabelFirstCrop', scale=(160, 80), crop_size=None), dict(type='PackDomain'),
]
model['segmentor'] = dict(
    pretrained=WORLD + '/mit_b0.pth',
    decode_head=dict(channels=8, embed_dims=8, dropout_ratio=0.1),
)
"""
    base = 'sepico_dist_mitb0_toy_game2city.py'
    config = write_config(tmp_path / 'sepico.py', world, more, base)
    (line,) = problems(config, 'model.jitter_strength=0.2')
    assert 'source images of 64x128 pixels cannot be mixed with target images of 48x64' in line


def test_valid_regions_must_come_from_the_data(world, tmp_path, problems):
    more = "model['addons'] = dict(margins=dict(type='ValidRegion'))\n"
    (line,) = problems(write_config(tmp_path / 'valid.py', world, more), 'model.blur=True')
    assert line.startswith('ValidRegion needs the valid region of target images')


LISTS = """
game = dict(
    type='GTADataset', data_root=WORLD + '/gta', pipeline=source_pipeline,
    data_prefix=dict(img_path='images', seg_map_path='labels'),
)
city = dict(
    type='CityscapesDataset', data_root=WORLD + '/cityscapes', pipeline=target_pipeline,
    data_prefix=dict(img_path='leftImg8bit/train'),
)
train_dataloader['dataset'] |= dict(
    source=[game, dict(game, weight=2)], target=[city, city], rare_class_sampling=None
)
"""


def test_lists_of_data_sets_are_trained_on(world, tmp_path):
    config = write_config(tmp_path / 'lists.py', world, LISTS)
    command = [config, '--work-dir', str(tmp_path / 'run')]
    train.main([*command, '--cfg-options', 'train_cfg.max_iters=2'])
    assert (tmp_path / 'run/iter_2.pth').is_file()


def test_data_sets_of_a_list_must_give_the_same_samples(world, tmp_path, problems):
    more = """
crop = dict(type='LabelFirstCrop', scale=(160, 80), crop_size=(64, 128), margins=(1, 1, 1, 1))
train_dataloader['dataset']['target'][1] = dict(city, pipeline=[crop, dict(type='PackDomain')])
"""
    (line,) = problems(write_config(tmp_path / 'lists.py', world, LISTS + more), 'model.blur=True')
    assert line.startswith(
        'train_dataloader.dataset.target.1 gives samples with image 3x64x128, valid 64x128, '
        'train_dataloader.dataset.target.0 with image 3x64x128: all data sets'
    )


ODD = """
odd = [test_pipeline[0], dict(type='Resize', scale=(120, 60)), *test_pipeline[1:]]
val_dataloader['dataset'] |= dict({validation})
test_dataloader = dict(dataset=dict(val_dataloader['dataset'], {test}))
model = dict(threshold=0.07, segmentor=dict(detail_size=(32, 64)))
"""


@pytest.mark.parametrize(
    ('validation', 'test', 'images'),
    [
        ('pipeline=odd', "data_root='not/there/yet'", 'validation images'),
        ('', 'pipeline=odd', 'test images'),
    ],
)
def test_images_of_evaluation_must_fit_the_network(
    world, tmp_path, problems, validation, test, images
):
    more = ODD.format(validation=validation, test=test)
    config = write_config(tmp_path / 'odd.py', world, more, 'hrda_r18_toyhr_game2city.py')
    (line,) = problems(config, 'model.blur=False')
    assert line.startswith(f'{images} have 60 x 120 pixels, but both sides must be multiples')


def test_blocks_of_pairs_train_as_the_pairs_do(tiny_config, world, tmp_path):
    """Two positions of a pair, or one of two samples of each domain: the same step."""
    more = """
target_pipeline.insert(-1, dict(type='MakeViews', number=2))
train_dataloader.update(batch_size=1)
train_dataloader['dataset'] |= dict(block=(2, 2), target=dict(
    data_root=WORLD + '/cityscapes', pipeline=target_pipeline))
"""
    weights = []
    for config in (tiny_config, write_config(tmp_path / 'blocks.py', world, more)):
        folder = tmp_path / f'run{len(weights)}'
        options = ['--cfg-options', 'train_cfg.max_iters=2']
        train.main([config, '--work-dir', str(folder), *options])
        weights.append(torch.load(folder / 'iter_2.pth', weights_only=True)['state_dict'])
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_self_training_needs_as_many_samples_of_both_domains(tiny_config, tmp_path, problems):
    (line,) = problems(tiny_config, 'train_dataloader.dataset.block=(4,1)')
    assert line.startswith('train_dataloader.dataset.block is (4, 1), but SelfTraining mixes')


def test_a_problem_with_views_names_their_sizes(world, tmp_path, problems):
    more = """
steps = [*target_pipeline[:-1], dict(type='MakeViews', number=2), dict(type='PackDomain')]
train_dataloader['dataset']['target'][1] = dict(city, pipeline=steps)
"""
    (line,) = problems(write_config(tmp_path / 'lists.py', world, LISTS + more), 'model.blur=True')
    assert 'with image 3x64x128, views.clean.geometry 2x2x3, views.clean.image 2x3x64x128' in line


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    """Write an image and a label of a given size; return their paths."""
    folder = tmp_path_factory.mktemp('pictures')

    @cache
    def make(height: int, width: int) -> dict[str, str]:
        image, label = folder / f'{height}x{width}.png', folder / f'{height}x{width}_label.png'
        Image.new('RGB', (width, height)).save(image)
        Image.new('L', (width, height)).save(label)
        return dict(img_path=str(image), day_path=str(image), seg_map_path=str(label))

    return make


SAMPLES: dict[str, dict] = {}


def sample(options: dict, picture) -> tuple[dict, Sequence[str]]:
    """Sample and classes of a data set whose files do not exist."""
    dataset = DATASETS.build(
        dict(
            type=options['type'],
            lazy_init=True,
            **({'metainfo': options['metainfo']} if 'metainfo' in options else {}),
        )
    )
    folder = f'{options.get("data_root")}/{options["data_prefix"]["img_path"]}'
    native = next((size for name, size in TOY.items() if name in folder), NATIVE[options['type']])
    key = f'{native} {options["pipeline"]}'
    if key not in SAMPLES:
        info = dict(picture(*native), label_map=None, reduce_zero_label=False, seg_fields=[])
        SAMPLES[key] = Compose(options['pipeline'])(info)
    return SAMPLES[key], dataset.metainfo['classes']


@pytest.mark.parametrize('path', sorted(CONFIGS), ids=lambda path: path.stem)
def test_every_config_passes_the_checks(path, picture, monkeypatch):
    """Uses samples of the data sets' sizes; CDDA without its bank, which is built before."""
    # No statistics of the labels are known.
    monkeypatch.setattr(category_dictionary, 'absent_classes', lambda source: [])
    config = Config.fromfile(path, import_custom_modules=False)
    assert not list(config_problems(config))
    model = config.model.to_dict()
    model['segmentor']['pretrained'] = None
    model.get('addons', {}).pop('cdda', None)
    options = config.train_dataloader.dataset
    with DefaultScope.overwrite_default_scope('mmseg'):
        samples = {}
        samples['source'], classes = sample(options.source, picture)
        if options.get('target'):
            samples['target'], others = sample(options.target, picture)
            assert len(others) == len(classes)
        loaders = config.val_dataloader, config.test_dataloader
        tested = [sample(loader.dataset, picture)[0]['inputs'].shape[1:] for loader in loaders]
        with torch.device('meta'):
            method = MODELS.build(model)
    sizes = {name: tuple(one['image'].shape[1:]) for name, one in samples.items()}
    dataset = SimpleNamespace(source=None, block=options.get('block', (1, 1)))
    data = TrainingData(dataset, len(classes), sizes['source'], sizes.get('target'), samples)
    assert not list(method.problems(data))
    for size in tested:
        assert not list(method.student.test_size_problems('test images', size))
