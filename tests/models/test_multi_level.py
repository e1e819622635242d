import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

import mmseg_uda.models  # noqa: F401 - registers the networks
from mmseg_uda.errors import UserError
from mmseg_uda.models.losses import segmentation_loss
from tests.precision import assert_same

CHANNELS = 8, 16


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


class Stages(nn.Module):
    """Two convolutions at strides 4 and 8."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS[0], 4, 4)
        self.second = nn.Conv2d(*CHANNELS, 2, 2)

    def forward(self, images):
        first = self.first(images)
        return first, self.second(first.relu())


def head(index: int, num_classes: int = 5) -> dict:
    options = dict(dilations=(1, 2), align_corners=True, random_bias=True)
    place = dict(in_channels=CHANNELS[index], in_index=index)
    return dict(type='DLV2Head', num_classes=num_classes, **place, **options)


def build(**options):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS.module_dict, 'Stages', Stages)
        config = dict(level_heads=dict(aux=head(0)), level_weights=dict(aux=0.1)) | options
        return MODELS.build(
            dict(
                type='MultiLevelSegmentor',
                backbone=dict(type='Stages'),
                decode_head=head(1),
                **config,
            )
        ).eval()


def images():
    return torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def labels():
    return torch.randint(5, (2, 32, 48), generator=torch.Generator().manual_seed(2))


def test_levels_are_the_logits_of_all_heads(float64):
    network = build()
    output = network.train_pass(images())
    early, late = network.features(images())
    assert list(output.levels) == ['main', 'aux']
    assert_same(output.levels['main'], network.decode_head([early, late]))
    assert_same(output.levels['aux'], network.level_heads['aux']([early, late]))
    assert output.levels['main'] is output.logits
    assert output.levels['aux'].shape == (2, 5, 8, 12) and output.logits.shape == (2, 5, 4, 6)


def test_heads_run_on_first_use_and_once():
    network, calls = build(), []
    for name in ('decode_head', 'level_heads.aux'):
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    output = network.train_pass(images())
    assert output.features and calls == []
    assert output.logits is output.logits and calls == ['decode_head']
    assert output.levels is output.levels and calls == ['decode_head', 'level_heads.aux']


def test_an_ordinary_pass_has_the_level_main():
    network = build(level_heads={}, level_weights={})
    output = network.infer(images())
    assert list(output.levels) == ['main'] and output.levels['main'] is output.logits


def test_the_losses_of_levels_have_weights(float64):
    network = build(average='valid')
    truth, weight = labels(), torch.rand(2, 32, 48)
    truth[:, :8] = 255
    found = network.supervise(images(), truth, weight)
    size = truth.shape[1:]
    resized = {
        name: nn.functional.interpolate(logits, size, mode='bilinear', align_corners=True)
        for name, logits in found.levels.items()
    }
    loss, accuracy = segmentation_loss(resized['main'], truth, weight, average='valid')
    aux_loss, aux_accuracy = segmentation_loss(resized['aux'], truth, weight, average='valid')
    expected = {
        'decode.loss_seg': loss,
        'decode.acc_seg': accuracy,
        'decode.aux.loss_seg': 0.1 * aux_loss,
        'decode.aux.acc_seg': aux_accuracy,
    }
    assert_same(found.losses, expected)
    sum(value for name, value in found.losses.items() if 'loss' in name).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_inference_adds_levels_with_their_factors(float64):
    plain, fused = build(), build(test_cfg=dict(mode='whole', level_factors=dict(aux=0.5)))
    levels = plain.infer(images()).levels
    assert_same(plain.infer(images()).logits, levels['main'])
    aux = nn.functional.interpolate(levels['aux'], (4, 6), mode='bilinear', align_corners=True)
    found = fused.infer(images())
    assert_same(found.logits, levels['main'] + 0.5 * aux)
    assert_same(found.levels, levels)  # those of the heads
    assert_same(fused.train_pass(images()).logits, levels['main'])
    assert fused.encode_decode(images()).shape == (2, 5, 32, 48)


def test_parameters_are_in_the_order_of_the_stages():
    names = [name.split('.')[0] for name, _ in build().named_parameters()]
    assert list(dict.fromkeys(names)) == ['backbone', 'level_heads', 'decode_head']


def test_number_of_classes_is_checked_for_all_levels():
    network = build(level_heads=dict(aux=head(0, num_classes=4)))
    (problem,) = network.problems(5)
    assert 'num_classes of model.segmentor.level_heads.aux is 4' in problem


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(level_heads=dict(main=head(0))), "'main' is the level of decode_head"),
        (dict(level_weights={}), 'level_weights lacks aux'),
        (dict(level_weights=dict(aux=1, axu=1)), 'level_weights has no such level: axu; .* aux'),
        (
            dict(test_cfg=dict(mode='whole', level_factors=dict(axu=1))),
            'test_cfg.level_factors has no such level: axu',
        ),
    ],
)
def test_unknown_levels_are_named(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)
