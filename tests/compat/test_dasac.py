"""Snapshots of DA-SAC as its original code wrote them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.engine.config import load_config
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation.inference import build_segmentor
from tests.golden.cases import read_folder
from tests.golden.functions.networks_dasac import final_snapshot, prefixed
from tests.golden.networks_dasac import DASAC_NETWORKS, empty_network, published_state

GOLDEN = Path(__file__).parents[1] / 'golden/data/dasac'
NETWORK = 'deeplabv2_vgg16_bn'


@pytest.fixture(scope='module')
def case():
    return next(case for case in read_folder(GOLDEN) if case.name == f'forward_{NETWORK}')


@pytest.fixture(scope='module')
def state(case):
    """Values of all entries, by their published names."""
    return published_state(empty_network(NETWORK), case.inputs()['weights'])


# State of the original optimiser, which is not read with the weights.
GROUP = dict(lr=2.5e-4, momentum=0.9, weight_decay=5e-4, nesterov=False, params=[0])
OPTIMIZER = dict(state={0: dict(momentum_buffer=torch.zeros(3))}, param_groups=[GROUP])


@pytest.mark.parametrize('which', ['student', 'teacher'])
def test_golden_logits_from_a_file(which, case, state, tmp_path):
    content = final_snapshot(state)
    if which == 'student':
        swap = {'backbone': 'slow_net', 'slow_net': 'backbone'}
        names = ('|'.join(swap), lambda match: swap[match[0]])
        content['model'] = {re.sub(*names, n): value for n, value in content['model'].items()}
    path = tmp_path / 'final_e184.pth'
    torch.save(content | dict(opt=OPTIMIZER, score=0.498, epoch=184), path)
    network = empty_network(NETWORK)
    load_segmentor_weights(network, path, which)
    network.double().eval()
    with torch.no_grad():
        logits = network.encode_decode(torch.as_tensor(case.inputs()['image']).double())
    expected = case.figure('eval.logits_full')
    np.testing.assert_allclose(logits[..., ::3, ::3], expected, rtol=1e-4, atol=1e-5)
    path.unlink()  # a large file


def test_a_baseline_has_no_teacher(state, tmp_path):
    empty = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    content = dict(model=prefixed('module.backbone.', empty), opt={}, score=0.4, epoch=115)
    torch.save(content, tmp_path / 'baseline_abn_e115.pth')
    network = empty_network(NETWORK)
    load_segmentor_weights(network, tmp_path / 'baseline_abn_e115.pth')
    assert not any(value.any() for value in network.state_dict().values())
    with pytest.raises(
        UserError, match=r'baseline_abn_e115\.pth contains no teacher: .* slow_net\.'
    ):
        load_segmentor_weights(network, tmp_path / 'baseline_abn_e115.pth', 'teacher')


def test_a_snapshot_of_another_network_is_refused(state, tmp_path):
    empty = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    content = dict(model=prefixed('module.backbone.', empty), opt={}, score=0.4, epoch=115)
    torch.save(content, tmp_path / 'baseline.pth')
    with pytest.raises(UserError, match='baseline.pth does not fit this architecture'):
        load_segmentor_weights(empty_network('deeplabv2_resnet101'), tmp_path / 'baseline.pth')


@pytest.mark.parametrize('name', ['r101', 'vgg16', 'fcn8'])
def test_our_configs_read_the_snapshots_of_both_trainings(name, tmp_path):
    network = {v: k for k, v in DASAC_NETWORKS.items()}[f'dasac_{name}']
    layout = json.loads((GOLDEN / f'{network}.keys.json').read_text())
    for training in ('baseline', 'final'):
        weights = {
            key: torch.full((), 2.0 if '.slow_net.' in key else 1.0).expand(shape)
            for key, shape in layout[f'state_dict_{training}_checkpoint_model']
        }
        content = dict(model=weights, opt=OPTIMIZER, score=0.4, epoch=40)
        torch.save(content, tmp_path / f'{training}.pth')
    for config, training, which, value in (
        ('abn', 'baseline', 'student', 1),
        ('dasac', 'baseline', 'student', 1),
        ('dasac', 'final', 'student', 1),
        ('dasac', 'final', 'teacher', 2),
    ):
        config = load_config(f'configs/dasac/{config}_{name}_gta2cs.py')
        segmentor = build_segmentor(config, tmp_path / f'{training}.pth', which)
        assert all(parameter.min() == value for parameter in segmentor.parameters())
