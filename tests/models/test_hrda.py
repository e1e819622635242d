import random

import pytest
import torch
from mmseg.registry import MODELS

import mmseg_uda.models  # noqa: F401 - registers the networks
from mmseg_uda.errors import UserError
from mmseg_uda.models.hrda import random_detail_box
from mmseg_uda.models.losses import segmentation_loss
from mmseg_uda.models.segmentors import Segmentor
from mmseg_uda.random import seed_all
from tests.precision import assert_same

DIMS = (32, 64, 160, 256)
BOX = (8, 40, 24, 56)
DAFORMER = dict(
    type='DAFormerHead',
    in_channels=DIMS,
    channels=8,
    embed_dims=8,
    num_classes=5,
    dropout_ratio=0,
)
RESNET = dict(
    type='ResNetV1c',
    depth=50,
    base_channels=8,
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4),
    contract_dilation=True,
)
DLV2 = dict(type='DLV2Head', in_channels=256, num_classes=5)


def build(head=None, backbone=None, **options):
    torch.manual_seed(0)
    head = dict(type='HRDAHead', head=DAFORMER, attention_channels=8) | (head or {})
    backbone = backbone or dict(type='MiT', arch='b0', drop_path_rate=0)
    options = dict(type='HRDASegmentor', detail_size=(32, 32)) | options
    network = MODELS.build(dict(options, backbone=backbone, decode_head=head))
    network.init_weights()
    return network.eval()


@pytest.fixture
def network():
    return build()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 96, generator=generator)
    return images, torch.randint(5, (2, 64, 96), generator=generator)


class TestDetailBox:
    def test_offsets_are_multiples_and_the_last_is_never_drawn(self):
        random.seed(0)
        boxes = {random_detail_box((48, 64), (32, 32), 8) for _ in range(200)}
        assert {y1 for y1, *_ in boxes} == {0, 8}
        assert {x1 for _, _, x1, _ in boxes} == {0, 8, 16, 24}
        assert all((y2 - y1, x2 - x1) == (32, 32) for y1, y2, x1, x2 in boxes)

    def test_a_side_without_room_is_whole(self):
        random.seed(0)
        boxes = {random_detail_box((32, 64), (32, 32), 8) for _ in range(50)}
        assert {box[:2] for box in boxes} == {(0, 32)} and len(boxes) == 4
        assert random_detail_box((16, 40), (32, 32), 8) == (0, 16, 0, 32)

    def test_an_image_of_the_crops_size_draws_nothing(self):
        state = random.getstate()
        assert random_detail_box((32, 32), (32, 32), 8) == (0, 32, 0, 32)
        assert random.getstate() == state

    def test_all_ranks_draw_it_alike_and_each_pass_anew(self, network, batch):
        boxes = []
        for rank in (0, 1):
            seed_all(7, 3, rank=rank)
            boxes.append([random_detail_box((64, 96), (32, 32), 8) for _ in range(4)])
        assert boxes[0] == boxes[1] and len(set(boxes[0])) > 1
        seed_all(7, 3, rank=1)
        with torch.no_grad():
            drawn = network.supervise(*batch).losses
            given = network.supervise(*batch, detail_box=boxes[0][0]).losses
        assert drawn == given


class TestFusion:
    def test_attention_one_takes_the_detail_inside_the_box(self, float64):
        network = build(dict(fixed_attention=1.0))
        lr, hr = torch.randn(1, 5, 8, 12), torch.randn(1, 5, 8, 8)
        attention = network.decode_head.attention([], lr)
        fused, _ = network.fuse(lr, hr, attention, (64, 96), BOX)
        y1, y2, x1, x2 = (side // 4 for side in BOX)
        inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # the border is interpolated
        assert_same(fused[:, :, y1:y2, x1:x2][inner], hr[inner])

    def test_outside_the_box_is_the_context(self, float64, network):
        lr, hr = torch.randn(1, 5, 8, 12), torch.randn(1, 5, 8, 8)
        attention = torch.rand(1, 5, 8, 12)
        fused, counted = network.fuse(lr, hr, attention, (64, 96), BOX)
        up = torch.nn.functional.interpolate(lr, size=(16, 24), mode='bilinear')
        assert_same(fused[:, :, :, 16:], up[:, :, :, 16:])
        y1, y2, x1, x2 = (side // 8 for side in BOX)
        inside = torch.zeros(8, 12, dtype=torch.bool)
        inside[y1:y2, x1:x2] = True
        assert_same(counted[..., inside], ((1 - attention) * lr)[..., inside])
        assert_same(counted[..., ~inside], lr[..., ~inside])

    def test_both_outputs_alone(self, float64, batch):
        images, _ = batch
        with torch.no_grad():
            for output, share in (('LR', 0.0), ('HR', 1.0)):
                alone = build(output=output)
                fixed = build(dict(fixed_attention=share))
                fixed.load_state_dict(alone.state_dict(), strict=False)
                assert_same(alone.encode_decode(images), fixed.encode_decode(images))

    def test_attention_map_lies_between_its_bounds(self, batch):
        with torch.no_grad():
            shown = build(output='ATT').encode_decode(batch[0])
        assert shown.shape == (2, 1, 64, 96)
        assert 0 < shown.min() and shown.max() < 1


def test_direct_predictions_are_fused_too(float64, batch):
    network = build(test_cfg=dict(mode='whole', direct=True)).eval()
    images, _ = batch
    with torch.no_grad():
        assert_same(network.inference(images, []), network.infer(images).logits)


def test_losses_are_those_of_the_parts(float64, batch):
    network = build(hr_loss_weight=0.2, lr_loss_weight=0.3)
    images, labels = batch
    weight = torch.rand(labels.shape)
    with torch.no_grad():
        supervision = network.supervise(images, labels, weight, detail_box=BOX)
        context = network.features(images)
        lr = network.decode(context)
        hr = network.decode(Segmentor.features(network, images[..., 8:40, 24:56]))
        attention = network.decode_head.attention(context, lr)
        fused, lr = network.fuse(lr, hr, attention, images.shape[2:], BOX)
    assert_same(supervision.logits, fused)
    for name, factor, logits, part in (
        ('decode', 0.5, fused, (..., slice(None), slice(None))),
        ('decode.lr', 0.3, lr, (..., slice(None), slice(None))),
        ('decode.hr', 0.2, hr, (..., slice(8, 40), slice(24, 56))),
    ):
        loss, accuracy = segmentation_loss(logits, labels[part], weight[part])
        assert_same(supervision.losses[f'{name}.loss_seg'], factor * loss)
        assert_same(supervision.losses[f'{name}.acc_seg'], accuracy)


def test_a_training_pass_without_labels_is_that_of_supervise(network, batch):
    passes = []
    for run in (network.train_pass, lambda images: network.supervise(images, batch[1])):
        seed_all(5, 0, rank=0)
        with torch.no_grad():
            passes.append(run(batch[0]).logits)
    assert torch.equal(*passes)


def test_no_weight_no_entry(batch):
    with torch.no_grad():
        losses = build(hr_loss_weight=0.0).supervise(*batch).losses
    assert set(losses) == {'decode.loss_seg', 'decode.acc_seg'}


def test_every_part_learns(batch):
    network = build().train()
    sum(v for k, v in network.supervise(*batch).losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_views_of_features(float64, batch):
    images, labels = batch
    with torch.no_grad():
        (view,) = build().supervise(images, labels, detail_box=BOX).views
        assert view.box is None and view.prepare(images).shape == (2, 3, 32, 48)
        network = build(feature_scale='all')
        supervision = network.supervise(images, labels, detail_box=BOX)
        context, detail = supervision.views
        for view in (context, detail):
            assert_same(network.backbone(view.prepare(images)), tuple(view.features))
    assert supervision.features is context.features
    assert detail.box == BOX and torch.equal(detail.prepare(images), images[..., 8:40, 24:56])


def test_chunks_of_windows_agree_and_training_takes_all_at_once(float64, batch):
    images, _ = batch
    whole, chunked = build(), build(detail_windows=4)
    sizes = []
    chunked.backbone.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    with torch.no_grad():
        assert_same(whole.encode_decode(images), chunked.encode_decode(images))
        assert sizes == [2, 8, 8, 8, 6]  # the context, then 3 x 5 windows of 2 images
        sizes.clear()
        assert_same(whole.train().encode_decode(images), chunked.train().encode_decode(images))
    assert sizes == [2, 30]


def test_without_overlap_there_are_fewer_windows(batch):
    network = build(overlap=False)
    sizes = []
    network.backbone.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    with torch.no_grad():
        network.encode_decode(batch[0])
    assert sizes == [2, 2 * 2 * 3]


@pytest.mark.parametrize(('context_scale', 'divisor'), [(0.5, 8), (0.75, 16), (1.0, 8)])
def test_scales_of_the_context(context_scale, divisor, batch):
    network = build(context_scale=context_scale)
    assert network.size_divisor == divisor
    with torch.no_grad():
        supervision = network.supervise(*batch)
        assert supervision.logits.shape == (2, 5, 16, 24)
        assert network.features(batch[0])[0].shape[2] == 16 * context_scale
        assert network.encode_decode(batch[0]).shape == (2, 5, 64, 96)


def test_blurred_detail_has_the_resolution_of_the_context(float64, batch):
    images, _ = batch
    seen = build(blur_detail=True).detail_images(images, BOX)
    half = torch.nn.functional.interpolate(images, scale_factor=0.5, mode='bilinear')
    full = torch.nn.functional.interpolate(half, scale_factor=2, mode='bilinear')
    assert_same(seen, full[..., 8:40, 24:56])


def test_attention_for_all_classes(batch):
    network = build(dict(attention_classwise=False))
    with torch.no_grad():
        context = network.features(batch[0])
        attention = network.decode_head.attention(context, network.decode(context))
        assert network.encode_decode(batch[0]).shape == (2, 5, 64, 96)
    assert attention.shape == (2, 1, 8, 12)


def test_deeplab_has_boxes_that_fit_its_cells(batch):
    network = build(dict(head=DLV2), RESNET)
    assert network.stride == 8 and network.box_divisor == 16
    assert build(dict(head=DLV2), RESNET, box_divisor=8).box_divisor == 8
    assert 'decode_head.scale_attention.aspp_modules.0.conv.weight' in network.state_dict()
    with torch.no_grad():
        assert network.supervise(*batch).logits.shape == (2, 5, 8, 12)
        assert network.encode_decode(batch[0]).shape == (2, 5, 64, 96)


def test_bfloat16_adds_up_in_float32(batch):
    network = build()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        logits = network.infer(batch[0]).logits
        supervision = network.supervise(*batch)
    assert logits.dtype == supervision.logits.dtype == torch.float32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(output='both'), "output is 'both'"),
        (dict(feature_scale='detail'), "feature_scale is 'detail'"),
        (dict(detail_size=(36, 32)), 'detail_size of 36 x 32 .* multiples of 8'),
        (dict(head=dict(head=DLV2), backbone=RESNET, detail_size=(24, 24)), 'multiples of 16'),
        (dict(head=dict(head=dict(type='FCNHead'))), "'FCNHead', it must be one of DAFormerHead"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)


def test_images_that_do_not_divide_are_refused(network):
    with pytest.raises(UserError, match='images of 60 x 64 .* multiples of 8'):
        network.encode_decode(torch.randn(1, 3, 60, 64))
    with pytest.raises(UserError, match='images of 60 x 64'):
        build(output='HR').encode_decode(torch.randn(1, 3, 60, 64))
    with pytest.raises(UserError, match='images of 64 x 60'):
        network.supervise(torch.randn(1, 3, 64, 60), torch.zeros(1, 64, 60, dtype=torch.long))
