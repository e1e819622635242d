import pytest
import torch
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.models import AllMLPHead, DAFormerHead, DLV2Head, UpscaleNeck
from mmseg_uda.models.heads.daformer_head import FUSIONS
from mmseg_uda.models.heads.fusion import InterlacedSparseAttention
from tests.precision import assert_same

DIMS = (8, 12, 16, 20)


def feature_maps(size=(16, 12), batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(-(-size[0] // 2**i), -(-size[1] // 2**i)) for i in range(4)]
    return [
        torch.randn(batch, dim, *s, generator=generator) for dim, s in zip(DIMS, sizes, strict=True)
    ]


@pytest.mark.parametrize('fusion', FUSIONS)
@pytest.mark.parametrize('size', [(16, 12), (9, 13)])
def test_daformer_head_answers_at_the_first_level(fusion, size):
    head = DAFormerHead(DIMS, channels=6, embed_dims=5, num_classes=7, fusion=fusion)
    assert head(feature_maps(size)).shape == (2, 7, *size)


def test_daformer_head_is_the_published_size():
    head = DAFormerHead((64, 128, 320, 512))
    assert sum(p.numel() for p in head.parameters()) == 3_712_275
    names = list(head.state_dict())
    assert names[:3] == ['conv_seg.weight', 'conv_seg.bias', 'embed_layers.0.proj.weight']
    assert {name.split('.')[0] for name in names} == {'conv_seg', 'embed_layers', 'fuse_layer'}


def test_daformer_head_without_norm_has_biases():
    head = DAFormerHead(DIMS, channels=6, embed_dims=5, num_classes=7, norm_cfg=None)
    assert not [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.bias is not None for m in head.modules() if isinstance(m, nn.Conv2d))


def test_daformer_head_initialisation():
    torch.manual_seed(0)
    head = DAFormerHead(DIMS, channels=64, embed_dims=64)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert (head.conv_seg.bias == 0).all()
    bottleneck = head.fuse_layer.bottleneck.conv.weight
    assert bottleneck.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_daformer_head_names_a_wrong_fusion():
    with pytest.raises(UserError, match='pyramid'):
        DAFormerHead(DIMS, fusion='pyramid')


def test_interlaced_attention_reaches_every_cell_and_crops_its_padding():
    torch.manual_seed(0)
    layer = InterlacedSparseAttention(4, 16, norm_cfg=None)
    x = torch.randn(1, 4, 11, 17, requires_grad=True)
    out = layer(x)
    assert out.shape == (1, 16, 11, 17)
    out[0, :, 5, 8].sum().backward()
    reached = x.grad.abs().sum((0, 1)) > 0
    assert reached.float().mean() > 0.9


def test_dlv2_head_sums_its_branches(float64):
    head = DLV2Head(8, num_classes=5, dilations=(1, 3))
    head.init_weights()
    last = torch.randn(2, 8, 9, 7)
    assert list(head.state_dict()) == [
        f'aspp_modules.{i}.conv.{entry}' for i in (0, 1) for entry in ('weight', 'bias')
    ]
    expected = sum(branch.conv(last) for branch in head.aspp_modules)
    assert_same(head([None, None, None, last]), expected)


def test_dlv2_head_initialisation():
    torch.manual_seed(0)
    head = DLV2Head(256)
    head.init_weights()
    for branch in head.aspp_modules:
        assert branch.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert (branch.conv.bias == 0).all()


def test_all_mlp_head():
    head = AllMLPHead(DIMS, num_classes=5, embed_dims=6)
    out = head(feature_maps())
    assert out.shape == (2, 5, 16, 12)
    out.sum().backward()
    unused = [name for name, p in head.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused


def test_upscale_neck():
    features = feature_maps()
    out = UpscaleNeck(scales=(1, 1, 1, 8))(features)
    assert [tuple(x.shape[2:]) for x in out] == [(16, 12), (8, 6), (4, 3), (16, 16)]
    assert out[0] is features[0]
