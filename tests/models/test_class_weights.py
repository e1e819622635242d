import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_uda.models  # noqa: F401
from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.models.losses import segmentation_loss
from tests.precision import assert_same

FREQUENCIES = [0.7, 0.2, 0.1]


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def segmentor(**options):
    head = dict(type='AllMLPHead', in_channels=[32, 64, 160, 256], embed_dims=8, num_classes=3)
    backbone = dict(type='MiT', arch='b0')
    return MODELS.build(
        dict(type='Segmentor', backbone=backbone, decode_head=head, **options)
    ).eval()


def test_rarer_classes_weigh_more_around_a_mean_of_one():
    weights = class_weights(dict(frequencies=FREQUENCIES, sigma=0.2))
    assert weights[0] < weights[1] < weights[2]
    assert weights.mean().item() == pytest.approx(1) and weights.std().item() == pytest.approx(0.2)


def test_a_list_is_taken_as_it_is():
    assert class_weights(None) is None
    assert class_weights([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_the_loss_of_a_pixel_is_multiplied_by_its_class_weight(float64):
    logits, labels = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 255]]])
    weights = torch.tensor([1.0, 2.0, 3.0])
    loss, _ = segmentation_loss(logits, labels, class_weight=weights)
    plain = F.cross_entropy(logits, labels, ignore_index=255, reduction='none')
    expected = (plain * torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])).mean()
    assert_same(loss, expected)


def test_weights_decide_predictions_and_are_no_part_of_the_state():
    torch.manual_seed(0)
    plain = segmentor()
    weighted = segmentor(
        class_weight=dict(frequencies=FREQUENCIES, sigma=0.1),
        test_cfg=dict(mode='whole', class_weight=[0.0, 0.0, 1.0]),
    )
    weighted.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 32, 32)
    samples = [SegDataSample(metainfo=dict(ori_shape=(40, 40), img_shape=(32, 32)))]
    with torch.no_grad():
        assert (weighted.predict(images, samples)[0].pred_sem_seg.data == 2).all()
