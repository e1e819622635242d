import errno
import os
import pickle

import pytest
import torch
from torch import nn

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.errors import UserError
from mmseg_uda.models import FrozenBatchNorm
from mmseg_uda.models.checkpoint import load_checkpoint, load_weights, save_checkpoint
from tests.damage import flip_bit


class Segmentor(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Linear(2, width)
        self.decode_head = nn.Linear(width, 4)


def state(seed=0, width=3):
    torch.manual_seed(seed)
    return Segmentor(width).state_dict()


def with_prefix(prefix, state_dict):
    return {prefix + name: value for name, value in state_dict.items()}


def damage(path, how):
    if how == 'one bit':
        return flip_bit(path)
    data = path.read_bytes()
    if how == 'truncated':
        data = data[: len(data) // 2]
    elif how == 'empty':
        data = b''
    path.write_bytes(data)


DAMAGES = ('truncated', 'empty', 'one bit')


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint({'state_dict': state(), 'meta': {'iter': 3}}, tmp_path / 'iter_3.pth')
    checkpoint = load_checkpoint(tmp_path / 'iter_3.pth')
    assert checkpoint['meta'] == {'iter': 3}
    assert all(torch.equal(v, state()[k]) for k, v in checkpoint['state_dict'].items())
    assert os.listdir(tmp_path) == ['iter_3.pth']


@pytest.mark.parametrize('how', DAMAGES)
def test_a_damaged_file_is_named(tmp_path, how):
    save_checkpoint({'state_dict': state()}, tmp_path / 'x.pth')
    damage(tmp_path / 'x.pth', how)
    with pytest.raises(UserError, match=r'x\.pth is damaged'):
        load_checkpoint(tmp_path / 'x.pth')


class Poison:
    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.system, (f'touch {self.flag}',)


@pytest.mark.parametrize('form', ['torch', 'torch legacy', 'pickle'])
def test_a_poisoned_pickle_is_refused_and_not_run(tmp_path, form):
    flag, path = tmp_path / 'was_run', tmp_path / 'poison.pth'
    content = {'state_dict': state(), 'meta': Poison(flag)}
    if form == 'pickle':
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == 'torch')
    with pytest.raises(UserError, match=r'poison\.pth is (not loaded|damaged)'):
        load_checkpoint(path)
    assert not flag.exists()


def test_a_full_disk_leaves_earlier_checkpoints_alone(tmp_path, monkeypatch):
    path = tmp_path / 'iter_1.pth'
    save_checkpoint({'a': torch.zeros(3)}, path)
    before = path.read_bytes()

    def no_space(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', no_space)
    with pytest.raises(UserError, match=r'cannot write .*iter_1\.pth: No space left.*--resume'):
        save_checkpoint({'a': torch.ones(3)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['iter_1.pth']


@pytest.mark.parametrize('prefix', ['student.', 'model.', 'module.model.', ''])
def test_the_student_of_every_layout_is_found(tmp_path, prefix):
    weights = state(1)
    content = with_prefix(prefix, weights)
    if prefix:
        content |= with_prefix('teacher.network.', state(2)) | {'_extra_state': torch.tensor(3)}
    torch.save({'state_dict': content}, tmp_path / 'x.pth')
    network = Segmentor()
    load_segmentor_weights(network, tmp_path / 'x.pth')
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize(
    ('prefix', 'name'),
    [('teacher.network.', 'teacher'), ('ema_model.', 'teacher')]
    + [('addons.mic.teacher.network.', 'mic_teacher'), ('mic.teacher.ema_model.', 'mic_teacher')],
)
def test_the_teacher_of_every_layout_is_found(tmp_path, prefix, name):
    weights = state(1)
    others = with_prefix('model.', state(2))
    if name == 'mic_teacher':
        others |= with_prefix('ema_model.', state(3)) | with_prefix('teacher.network.', state(3))
    torch.save(with_prefix(prefix, weights) | others, tmp_path / 'x.pth')
    network = Segmentor()
    load_segmentor_weights(network, tmp_path / 'x.pth', name)
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())


def test_training_heads_may_be_missing_from_the_network(tmp_path):
    torch.save(state() | {'auxiliary_head.conv.weight': torch.ones(1)}, tmp_path / 'x.pth')
    load_segmentor_weights(Segmentor(), tmp_path / 'x.pth')


def test_a_network_that_is_not_there_is_an_error(tmp_path):
    torch.save(with_prefix('student.', state()), tmp_path / 'x.pth')
    with pytest.raises(UserError, match='contains no teacher.*found: student'):
        load_segmentor_weights(Segmentor(), tmp_path / 'x.pth', 'teacher')


def test_another_architecture_is_refused_with_what_differs():
    other = state(width=5) | {'neck.weight': torch.ones(1)}
    other.pop('decode_head.bias')
    with pytest.raises(UserError) as error:
        load_weights(Segmentor(), other, 'x.pth')
    for hint in ('decode_head.bias', 'neck.weight', '(5, 2) in the file, (3, 2) in the model'):
        assert hint in str(error.value)


class DeepLab(nn.Module):
    """A network with the state dict keys of a segmentor with BatchNorm and two classifiers."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.backbone = nn.ModuleDict({'conv1': nn.Conv2d(3, 2, 1), 'bn1': norm(2)})
        branches = [nn.ModuleDict({'conv': nn.Conv2d(2, 4, 3)}) for _ in range(2)]
        self.decode_head = nn.ModuleDict({'aspp_modules': nn.ModuleList(branches)})


def published_pair(network, prefix=''):
    """A checkpoint in the layout of FADA and SDCA: backbone and classifier are separate entries."""
    state = network.state_dict()
    return {
        'iteration': 7,
        'feature_extractor': {prefix + n: v for n, v in state.items() if n.startswith('backbone.')},
        'classifier': {
            prefix
            + n.replace('decode_head.aspp_modules.', 'conv2d_list.').replace('.conv.', '.'): v
            for n, v in state.items()
            if n.startswith('decode_head.')
        },
        'optimizer_fea': {'state': {}, 'param_groups': [{'lr': 0.1}]},
    }


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('norms', [(nn.BatchNorm2d,) * 2, (FrozenBatchNorm, nn.BatchNorm2d)])
def test_published_backbone_and_classifier(tmp_path, prefix, norms):
    for saved, loading in (norms, norms[::-1]):
        torch.manual_seed(0)
        origin, network = DeepLab(saved), DeepLab(loading)
        save_checkpoint(published_pair(origin, prefix), tmp_path / 'model_best.pth')
        load_segmentor_weights(network, tmp_path / 'model_best.pth')
        theirs = origin.state_dict()
        for name, value in network.state_dict().items():
            assert torch.equal(value, theirs.get(name, torch.tensor(0))), name


def test_a_published_pair_that_is_incomplete_or_no_student(tmp_path):
    path, content = tmp_path / 'model.pth', published_pair(DeepLab())
    save_checkpoint({**content, 'classifier': None}, path)
    with pytest.raises(UserError, match='classifier'):
        load_segmentor_weights(DeepLab(), path)
    save_checkpoint(content, path)
    with pytest.raises(UserError, match='no teacher'):
        load_segmentor_weights(DeepLab(), path, network='teacher')
    del content['feature_extractor']['backbone.bn1.running_var']
    save_checkpoint(content, path)
    with pytest.raises(UserError, match='running_var'):
        load_segmentor_weights(DeepLab(), path)
