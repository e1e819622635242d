"""Networks that need images of certain sizes say so before the first training step."""

import re

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

import mmseg_uda.register  # noqa: F401
from mmseg_uda.uda.addon import TrainingData
from tests.tiny_training import ROOT


def method(name):
    segmentor = Config.fromfile(ROOT / f'configs/_base_/models/{name}.py').segmentor.to_dict()
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(dict(type='MinEnt', segmentor=segmentor | dict(pretrained=None)))


def problems(name, source, target):
    return list(method(name).problems(TrainingData({}, 19, source, target, {})))


def test_a_crop_that_does_not_fit_is_named():
    (source,) = problems('dasac_fcn8', (512, 1024), (520, 1024))
    assert source == (
        'target images have 520 x 1024 pixels, but both sides must be multiples of 32 for '
        'model.segmentor: crop or resize them in the pipeline, e.g. to 544 x 1024'
    )
    assert len(problems('dasac_fcn8', (640, 650), (520, 1024))) == 2


@pytest.mark.parametrize(
    ('name', 'size'),
    [('dasac_fcn8', (640, 640)), ('dasac_r101', (321, 567)), ('dasac_vgg16', (321, 567))],
)
def test_sizes_that_fit(name, size):
    assert not problems(name, size, size)


@pytest.mark.parametrize(
    ('test_cfg', 'size', 'problem'),
    [
        (dict(mode='whole'), (512, 1000), 'test images have 512 x 1000 pixels, .* to 512 x 1024'),
        (
            dict(mode='slide', crop_size=(512, 500), stride=(256, 250)),
            (1024, 2048),
            r'windows of test images have 512 x 500 pixels, .*: set .*crop_size, .* to 512 x 512',
        ),
        (
            dict(mode='slide', crop_size=(512, 512), stride=(256, 256)),
            (500, 1024),
            'windows of test images have 500 x 512 pixels, .*or resize the images',
        ),
        (dict(mode='slide', crop_size=(512, 512), stride=(256, 256)), (1052, 1914), None),
        (dict(mode='whole'), (512, 1024), None),
    ],
)
def test_images_of_evaluation(test_cfg, size, problem):
    segmentor = method('dasac_fcn8').student
    segmentor.test_cfg = ConfigDict(test_cfg)
    found = list(segmentor.test_size_problems('test images', size))
    assert len(found) == (problem is not None)
    assert all(re.match(problem, sentence) for sentence in found)


def test_hrda_reports_its_sizes_too():
    (source,) = problems('hrda_mitb5', (1020, 1024), (1024, 1024))
    assert source.startswith('source images have 1020 x 1024 pixels')
