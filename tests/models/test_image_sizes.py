"""Networks that need images of certain sizes say so before the first training step."""

import pytest
import torch
from mmengine.config import Config
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


def test_hrda_reports_its_sizes_too():
    (source,) = problems('hrda_mitb5', (1020, 1024), (1024, 1024))
    assert source.startswith('source images have 1020 x 1024 pixels')
