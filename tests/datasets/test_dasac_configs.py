"""The data configs of DA-SAC: published values, and samples of the toy world in both stages."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmseg_uda.register  # noqa: F401
from mmseg_uda.models import UDADataPreProcessor
from tests.tiny_training import ROOT

FOLDER = ROOT / 'configs/_base_/datasets'
STAGES = [
    *('dasac_gta', 'dasac_synthia', 'dasac_abn_gta', 'dasac_abn_gta_vgg16'),
    *('dasac_abn_synthia', 'dasac_abn_synthia_vgg16'),
]


def read(name: str) -> Config:
    return Config.fromfile(FOLDER / f'{name}.py')


@pytest.mark.parametrize('name', STAGES)
def test_source_normalisation_is_the_published_one(name):
    normalisation = read(name).source_normalisation
    mean, std = (np.array(normalisation[key]) / 255 for key in ('mean', 'std'))
    np.testing.assert_allclose(mean, [0.73789, 0.62771, 0.61095], atol=6e-6)
    np.testing.assert_allclose(std, [0.31798, 0.29742, 0.30127], atol=6e-6)


@pytest.mark.parametrize('name', [*STAGES, 'toy_dasac', 'toy_dasac_abn'])
def test_images_of_a_step(name):
    """Source images and target images or groups of all processes."""
    published = {'dasac_gta': (8, 2), 'dasac_synthia': (8, 2), 'toy_dasac': (4, 1)}
    published |= {'toy_dasac_abn': (4, 4)}
    expected = published.get(name, (16, 2) if 'vgg16' in name else (12, 8))
    config = read(name)
    block = config.train_dataloader.dataset.block
    assert tuple(config.total_batch_size * size for size in block) == expected


@pytest.mark.parametrize('name', STAGES)
def test_only_gta_is_resized_first(name):
    dataset = read(name).train_dataloader.dataset
    size = dataset.source.pipeline[0].get('size')
    assert size == ((1914, 1052) if 'gta' in name else None)
    views = [step for step in dataset.target.pipeline if step.type == 'MakeViews']
    assert len(views) == ('abn' not in name)


def test_classes_without_labels_in_synthia_are_drawn_uniformly():
    sampling = read('dasac_synthia').train_dataloader.dataset.target_sampling
    assert sampling.uniform_classes == [9, 14, 16]
    assert 'uniform_classes' not in read('dasac_gta').train_dataloader.dataset.target_sampling


@pytest.mark.parametrize('name', ['toy_dasac', 'toy_dasac_abn'])
def test_batches_of_the_toy_world(name, world):
    config = read(name)
    loader = config.train_dataloader
    loader.dataset.source.data_root = f'{world}/gta'
    loader.dataset.target.data_root = f'{world}/cityscapes'
    loader.dataset.target.pipeline[0].size = (256, 128)  # of the toy world of the experiments
    loader.batch_size = loader.sampler.batch_size = config.total_batch_size
    loader.pin_memory = False
    data = next(iter(Runner.build_dataloader(loader)))
    preprocessor = UDADataPreProcessor(source=config.source_normalisation.to_dict())
    batch = preprocessor(data, training=True)
    sizes = {'toy_dasac': (4, 1), 'toy_dasac_abn': (4, 4)}[name]
    for domain, number in zip((batch.source, batch.target), sizes, strict=True):
        assert domain.images.shape == (number, 3, 64, 128) and len(domain.paths) == number
        assert torch.isfinite(domain.images).all()
    assert batch.source.labels.shape == (sizes[0], 64, 128) and batch.target.labels is None
    groups = {view: (v.images.shape, v.geometry.shape) for view, v in batch.target.views.items()}
    shapes = (1, 4, 3, 64, 128), (1, 4, 2, 3)
    assert groups == (dict.fromkeys(('clean', 'noisy'), shapes) if name == 'toy_dasac' else {})
