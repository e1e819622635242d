from types import SimpleNamespace

import pytest
import torch

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addons.feature_distance import FeatureDistance, feature_distance
from mmseg_uda.uda.components.reduce_labels import reduce_labels
from tests.precision import assert_same
from tests.uda.conftest import build, hrda, segmentor, uda_batch


def test_mean_over_masked_cells():
    features = torch.zeros(1, 2, 1, 3)
    features[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    features[0, 0, 0, 1] = 1.0
    mask = torch.tensor([[[True, True, False]]])
    assert feature_distance(features, torch.zeros_like(features), mask).item() == 3.0
    assert feature_distance(features, torch.zeros_like(features)).item() == 2.0


def test_an_empty_mask_gives_zero_and_no_gradient():
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    empty = torch.zeros(1, 2, 2, dtype=torch.bool)
    distance = feature_distance(features, torch.ones(1, 4, 2, 2), empty)
    distance.backward()
    assert distance.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_cells_outside_the_mask_that_do_not_differ_have_finite_gradients():
    features = torch.ones(1, 4, 1, 2, requires_grad=True)
    mask = torch.tensor([[[True, False]]])
    reference = torch.tensor([0.0, 1.0]).expand(1, 4, 1, 2)
    feature_distance(features, reference, mask).backward()
    assert features.grad.isfinite().all()


def test_it_needs_pretrained_weights():
    method = build(
        dict(
            type='SelfTraining',
            segmentor=segmentor(),
            addons=dict(feature_distance=dict(type='FeatureDistance')),
        )
    )
    with pytest.raises(UserError, match=r'segmentor\.pretrained'):
        method.init_weights()


@pytest.mark.parametrize('feature_scale', ['context', 'all'])
def test_hrda_compares_what_the_student_saw(float64, feature_scale):
    student = build(hrda((64, 64), feature_scale, num_classes=3))
    box = 32, 96, 64, 128
    source = uda_batch(size=128).source
    source.labels.random_(0, 3)
    source.labels[:, 32:96, 64:128] = 1  # what the detail sees is of one class
    addon = FeatureDistance(weight=0.5, classes=[1], min_ratio=0.9)
    addon.set_up(student)
    with torch.no_grad():
        for value in addon.encoder.parameters():
            value.add_(0.01)
        supervision = student.supervise(source.images, source.labels, detail_box=box)
        batch = UDABatch(source)
        (loss,) = addon.source_losses(SimpleNamespace(batch=batch), supervision).values()

        small = torch.nn.functional.interpolate(source.images, scale_factor=0.5, mode='bilinear')
        context = student.backbone(small)[-1], addon.encoder(small)[-1]
        cells = reduce_labels(source.labels, (2, 2), 3, 0.9) == 1
        expected = feature_distance(*context, cells)
        if feature_scale == 'all':
            crop = source.images[..., 32:96, 64:128]
            expected += feature_distance(student.backbone(crop)[-1], addon.encoder(crop)[-1])
    assert_same(loss, 0.5 * expected)
    assert loss > 0 or feature_scale == 'context'
