import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_uda.models  # noqa: F401 - registers the networks
from mmseg_uda.errors import UserError
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss
from tests.precision import assert_same

DIMS = (32, 64, 160, 256)


def build(**kwargs):
    torch.manual_seed(0)
    head = dict(type='DAFormerHead', in_channels=DIMS, channels=16, embed_dims=16, num_classes=5)
    network = MODELS.build(
        dict(type='Segmentor', backbone=dict(type='MiT', arch='b0'), decode_head=head, **kwargs)
    )
    network.init_weights()
    return network.eval()


def sample(**metainfo):
    return SegDataSample(metainfo=metainfo)


@pytest.fixture
def network():
    return build()


@pytest.fixture
def images():
    return torch.randn(2, 3, 45, 70, generator=torch.Generator().manual_seed(0))


def test_logits_have_the_images_size(network, images):
    with torch.no_grad():
        features = network.features(images)
        assert isinstance(features, list) and len(features) == 4
        assert network.decode(features).shape == (2, 5, 12, 18)
        assert network.encode_decode(images).shape == (2, 5, 45, 70)


def test_supervise_gives_losses_features_and_logits(float64, network, images):
    labels = torch.randint(5, (2, 45, 70))
    weight = torch.rand(2, 45, 70)
    supervision = network.supervise(images, labels, weight)
    loss, accuracy = segmentation_loss(supervision.logits, labels, weight)
    assert_same(supervision.losses, {'decode.loss_seg': loss, 'decode.acc_seg': accuracy})
    gradients = torch.autograd.grad(supervision.losses['decode.loss_seg'], supervision.features)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_mmseg_loss_is_the_same_loss(float64, network, images):
    labels = torch.randint(5, (2, 45, 70))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    with torch.no_grad():
        assert_same(network(images, samples, mode='loss'), network.supervise(images, labels).losses)


def test_predict_resizes_to_the_original_image_and_undoes_the_flip(float64, network, images):
    metainfo = dict(img_shape=(45, 70), ori_shape=(90, 141))
    with torch.no_grad():
        plain = network.predict(images[:1], [sample(**metainfo)])[0]
        flipped = network.predict(
            images[:1], [sample(**metainfo, flip=True, flip_direction='horizontal')]
        )[0]
    assert plain.seg_logits.data.shape == (5, 90, 141)
    assert plain.pred_sem_seg.data.shape == (1, 90, 141)
    assert_same(flipped.seg_logits.data, plain.seg_logits.data.flip(2))


def test_slide_and_batched_slide_agree_and_leave_the_records_alone(float64, images):
    slide = dict(mode='slide', crop_size=(32, 32), stride=(16, 24))
    samples = [sample(img_shape=(45, 70), ori_shape=(45, 70)) for _ in images]
    results = []
    for test_cfg in (slide, dict(**slide, batched_slide=True)):
        network = build(test_cfg=test_cfg)
        with torch.no_grad():
            results.append(network.inference(images, [s.metainfo for s in samples]))
            network.predict(images, samples)
    assert_same(*results)
    assert samples[0].img_shape == (45, 70)


def test_neck_and_resnet():
    backbone = dict(
        type='ResNetV1c',
        depth=50,
        base_channels=8,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
    )
    network = MODELS.build(
        dict(
            type='Segmentor',
            backbone=backbone,
            neck=dict(type='UpscaleNeck', scales=(1, 1, 1, 2)),
            decode_head=dict(type='DLV2Head', in_channels=256, num_classes=5),
        )
    )
    network.init_weights()
    features = network.features(torch.randn(2, 3, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (32, 16, 16),
        (64, 8, 8),
        (128, 8, 8),
        (256, 16, 16),
    ]
    assert network.decode(features).shape == (2, 5, 16, 16)


def test_pretrained_weights_are_read_by_init_weights(network, tmp_path):
    path = tmp_path / 'mit_b0.pth'
    torch.save(network.backbone.state_dict(), path)
    other = build(pretrained=str(path))
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(other.backbone.state_dict()[name], value)


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (dict(mode='tiles'), "'tiles'"),
        (dict(mode='slide', crop_size=(8, 8)), 'needs stride'),
        (dict(mode='slide'), 'crop_size and stride'),
    ],
)
def test_wrong_test_cfg(test_cfg, message):
    with pytest.raises(UserError, match=message):
        build(test_cfg=test_cfg)


def deeplab(**kwargs):
    torch.manual_seed(0)
    backbone = dict(type='ResNet', depth=18, out_indices=(3,), norm_cfg=dict(type='FrozenBN'))
    head = dict(type='DLV2Head', in_channels=512, in_index=0, num_classes=5, align_corners=True)
    network = MODELS.build(dict(type='Segmentor', backbone=backbone, decode_head=head, **kwargs))
    return network.eval()


def test_the_head_says_how_logits_are_upscaled(float64, images):
    network = deeplab()
    with torch.no_grad():
        small = network.decode(network.features(images))
        expected = torch.nn.functional.interpolate(small, (45, 70), None, 'bilinear', True)
        assert_same(network.encode_decode(images), expected)


def test_direct_predictions_are_upscaled_once(float64, images):
    network = deeplab(test_cfg=dict(mode='whole', direct=True))
    with torch.no_grad():
        small = network.decode(network.features(images))
        (result, _) = network.predict(images, [sample(ori_shape=(90, 141)) for _ in range(2)])
    expected = torch.nn.functional.interpolate(small[:1], (90, 141), None, 'bilinear', True)[0]
    assert_same(result.seg_logits.data, expected)
    with pytest.raises(UserError, match='direct'):
        deeplab(test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(4, 4), direct=True))


def test_losses_of_deeplab_in_fada_and_sdca(float64, images):
    network = deeplab(average='valid', lovasz_weight=0.75)
    labels = torch.randint(5, (2, 45, 70)).masked_fill(torch.rand(2, 45, 70) < 0.3, 255)
    losses = network.supervise(images, labels).losses
    with torch.no_grad():
        full = network.encode_decode(images)
    expected = torch.nn.functional.cross_entropy(full, labels, ignore_index=255)
    assert_same(losses['decode.loss_seg'].detach(), expected)
    lovasz = losses['decode.loss_lovasz'].detach()
    assert_same(lovasz, 0.75 * lovasz_softmax(full, labels))
    network.lovasz_images = 1
    lovasz = network.supervise(images, labels).losses['decode.loss_lovasz'].detach()
    assert_same(lovasz, 0.75 * lovasz_softmax(full, labels, 1))
    with pytest.raises(UserError, match="'some'"):
        deeplab(average='some')
    for wrong in (0, 1.5):
        with pytest.raises(UserError, match=f'lovasz_images is {wrong}, it must be'):
            deeplab(lovasz_images=wrong)


def test_random_biases_of_the_branches():
    for random in (False, True):
        head = dict(type='DLV2Head', in_channels=8, num_classes=5, random_bias=random)
        head = MODELS.build(head)
        head.init_weights()
        biases = torch.cat([branch.conv.bias.detach() for branch in head.aspp_modules])
        assert (biases.abs() <= (8 * 9) ** -0.5).all()
        assert biases.unique().numel() == (len(biases) if random else 1)
