import pytest
import torch
from torch import nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.backbones.mit import ARCHITECTURES, DropPath, EfficientAttention, MiT
from tests.precision import assert_same


@pytest.fixture(scope='module')
def encoder():
    torch.manual_seed(0)
    encoder = MiT('b0')
    encoder.init_weights()
    return encoder.eval()


@pytest.mark.parametrize('size', [(64, 96), (70, 115), (33, 65)])
def test_stage_sizes_are_ceilings(encoder, size):
    with torch.no_grad():
        features = encoder(torch.randn(2, 3, *size))
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    for feature, dim in zip(features, ARCHITECTURES['b0'].dims, strict=True):
        assert feature.shape == (2, dim, height, width)
        assert feature.is_contiguous(memory_format=torch.channels_last)
        height, width = -(-height // 2), -(-width // 2)


@pytest.mark.parametrize(
    ('arch', 'entries', 'parameters'),
    [
        ('b0', 176, 3_319_392),
        ('b1', 176, 13_151_424),
        ('b2', 332, 24_196_288),
        ('b3', 572, 44_072_128),
        ('b4', 832, 60_842_688),
        ('b5', 1052, 81_443_008),
    ],
)
def test_architectures_have_the_published_sizes(arch, entries, parameters):
    with torch.device('meta'):
        encoder = MiT(arch)
    assert len(encoder.state_dict()) == entries
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_order_of_the_state_dict(encoder):
    parts = list(dict.fromkeys(name.split('.')[0] for name in encoder.state_dict()))
    embeddings = [f'patch_embed{s}' for s in range(1, 5)]
    stages = [part for s in range(1, 5) for part in (f'block{s}', f'norm{s}')]
    assert parts == embeddings + stages


def test_norm_epsilons(encoder):
    for name, layer in encoder.named_modules():
        if isinstance(layer, nn.LayerNorm):
            makes_tokens = name.startswith('patch_embed') or name.endswith('attn.norm')
            assert layer.eps == (1e-5 if makes_tokens else 1e-6), name


def test_unknown_arch():
    with pytest.raises(UserError, match='b6'):
        MiT('b6')


def test_attention_is_softmax_attention(float64):
    torch.manual_seed(0)
    attention = EfficientAttention(dim=8, heads=2, reduction=1)
    tokens = torch.randn(3, 12, 8)
    heads = [slice(0, 4), slice(4, 8)]
    query = attention.q(tokens)
    key, value = attention.kv(tokens).chunk(2, dim=2)
    mixed = [
        (query[..., h] @ key[..., h].transpose(1, 2) / 2).softmax(2) @ value[..., h] for h in heads
    ]
    expected = attention.proj(torch.cat(mixed, 2))
    assert_same(attention(tokens, (3, 4)), expected)


def test_drop_path_keeps_the_mean_and_whole_samples(float64):
    torch.manual_seed(0)
    rate = 0.3
    branch = torch.ones(20_000, 2, 3)
    out = DropPath(rate)(branch)
    values = out.unique()
    assert_same(values, torch.tensor([0, 1 / (1 - rate)]))
    assert (out == out[:, :1, :1]).all()
    assert out.mean() == pytest.approx(1, abs=0.02)


def test_drop_path_is_off_in_evaluation_and_for_the_first_block():
    branch = torch.randn(4, 3)
    assert DropPath(0.5).eval()(branch) is branch
    assert DropPath(0.0)(branch) is branch


def test_drop_path_grows_linearly():
    rates = [m.rate for m in MiT('b0', drop_path_rate=0.7).modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1 * i for i in range(8)])


def test_initialisation(encoder):
    for layer in encoder.modules():
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)
            assert (layer.bias == 0).all()
        elif isinstance(layer, nn.LayerNorm):
            assert (layer.weight == 1).all() and (layer.bias == 0).all()
    stem = encoder.patch_embed1.proj.weight
    assert stem.std().item() == pytest.approx((2 / (49 * 32)) ** 0.5, rel=0.1)
    depthwise = encoder.block4[0].mlp.dwconv.dwconv.weight
    assert depthwise.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.1)


def test_gradient_checkpointing_gives_the_same_gradients(float64, encoder):
    images = torch.randn(2, 3, 32, 64)
    gradients = []
    for with_cp in (False, True):
        network = MiT('b0', drop_path_rate=0.5, with_cp=with_cp)
        network.load_state_dict(encoder.state_dict())
        torch.manual_seed(3)  # the same random draws of stochastic depth
        sum(feature.square().mean() for feature in network(images)).backward()
        gradients.append([p.grad for p in network.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert_same(plain, recomputed)
