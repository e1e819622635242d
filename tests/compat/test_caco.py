"""Checkpoints of ADVENT and CaCo as their original code wrote them."""

import pickle

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

import mmseg_uda.register  # noqa: F401
from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.errors import UserError
from mmseg_uda.models import load_pretrained_backbone
from tests.golden.networks_caco import caco_name

CONFIG = 'configs/_base_/models/multi_level_r101.py'


def build(seed: int, projector: bool = False):
    """The network of the configs with 1/16 of its channels, and random weights and statistics."""
    config = Config.fromfile(CONFIG).segmentor.to_dict() | dict(pretrained=None)
    config['backbone'] |= dict(depth=50, base_channels=4)
    config['decode_head']['in_channels'] = 128
    config['level_heads']['aux']['in_channels'] = 64
    if projector:
        config['auxiliary_head'] = dict(type='Projector', in_channels=64, hidden=8, channels=4)
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = MODELS.build(config)
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator))
    return network


def published(network) -> dict[str, torch.Tensor]:
    return {caco_name(name): value for name, value in network.state_dict().items()}


def prefixed(prefix: str, state: dict) -> dict:
    return {f'{prefix}{name}': value for name, value in state.items()}


def same(one, other) -> bool:
    pairs = ((value, other.state_dict()[name]) for name, value in one.state_dict().items())
    return all(torch.equal(*pair) for pair in pairs)


LAYOUTS = {
    'flat': lambda state: state,
    'module': lambda state: prefixed('module.', state),
    'pkl': lambda state: dict(
        ResNet101=dict(model_state=state, objective_vectors=torch.zeros(19, 256)),
        iter=1000,
        best_iou=0.5,
    ),
}


@pytest.mark.parametrize('projector', [False, True], ids=['plain', 'projector'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_published_checkpoints_are_read(layout, projector, tmp_path):
    trained, network = build(1, projector), build(2, projector)
    torch.save(LAYOUTS[layout](published(trained)), tmp_path / 'caco.pth')
    assert not same(trained, network)
    load_segmentor_weights(network, tmp_path / 'caco.pth')
    assert same(trained, network)


def test_the_unused_projector_is_left_out(tmp_path):
    trained, network = build(1, projector=True), build(2)
    torch.save(published(trained), tmp_path / 'GTA5_90000.pth')
    load_segmentor_weights(network, tmp_path / 'GTA5_90000.pth')
    assert same(network, trained)


def test_an_incomplete_checkpoint_is_refused(tmp_path):
    state = published(build(1))
    del state['layer5.conv2d_list.3.bias']
    torch.save(state, tmp_path / 'model_200.pth')
    message = 'model_200.pth does not fit .*first: level_heads.aux.aspp_modules.3.conv.bias'
    with pytest.raises(UserError, match=message):
        load_segmentor_weights(build(2), tmp_path / 'model_200.pth')


def test_a_multi_level_checkpoint_has_no_teacher(tmp_path):
    torch.save(published(build(1)), tmp_path / 'model_200.pth')
    with pytest.raises(UserError, match='model_200.pth contains no teacher'):
        load_segmentor_weights(build(2), tmp_path / 'model_200.pth', 'teacher')


def test_a_pickle_with_code_is_not_run(tmp_path):
    with open(tmp_path / 'best_model.pkl', 'wb') as file:
        pickle.dump(dict(ResNet101=dict(model_state={})), file)
    with pytest.raises(UserError, match='best_model.pkl is damaged or was not written by torch'):
        load_segmentor_weights(build(2), tmp_path / 'best_model.pkl')


def test_initial_weights_of_caffe_are_read_without_their_classifier(tmp_path):
    """As published: every name has the prefix, and the old single classifier is skipped."""
    trained, network = build(1), build(2)
    heads = network.decode_head.state_dict()
    backbone = {n: v for n, v in trained.backbone.state_dict().items() if 'num_batches' not in n}
    classifier = {'layer5.conv2d_list.0.weight': torch.zeros(21, 128, 3, 3)}
    path = tmp_path / 'DeepLab_resnet_pretrained_imagenet.pth'
    torch.save(prefixed('Scale.', backbone | classifier), path)
    load_pretrained_backbone(network.backbone, path)
    assert same(trained.backbone, network.backbone)
    assert all(torch.equal(v, heads[n]) for n, v in network.decode_head.state_dict().items())


def test_missing_initial_weights_are_named(tmp_path):
    with pytest.raises(UserError, match='DeepLab_resnet_pretrained_imagenet.pth, as the ADVENT'):
        load_pretrained_backbone(build(1).backbone, tmp_path / 'missing.pth')
