import logging
import math

import pytest
import torch

from mmseg_uda.engine.runner import newest_checkpoint
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import UserError
from mmseg_uda.models.checkpoint import first_not_finite, save_checkpoint
from tests.models.test_checkpoint import DAMAGES, damage


@pytest.mark.parametrize('how', DAMAGES)
def test_a_damaged_newest_one_falls_back_with_a_warning(tmp_path, how, caplog):
    for iteration in (5, 10):
        save_checkpoint({'meta': {'iter': iteration}}, tmp_path / f'iter_{iteration}.pth')
    save_checkpoint({'w': torch.zeros(9)}, tmp_path / 'iter_15.pth')
    damage(tmp_path / 'iter_15.pth', how)
    with caplog.at_level(logging.WARNING):
        path, checkpoint = newest_checkpoint(tmp_path)
    assert (path.name, checkpoint['meta']['iter']) == ('iter_10.pth', 10)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    'name', ['state_dict.teacher.weight', 'optimizer.student.state.0.exp_avg', 'meta.0.1']
)
def test_one_that_is_not_finite_falls_back_too(tmp_path, name, value, caplog):
    def content(tensor):
        for key in reversed(name.split('.')):
            tensor = [torch.zeros(2), tensor] if key in '01' else {key: tensor}
        return {'counts': torch.ones(3, dtype=torch.int64), **tensor}

    spoilt = torch.zeros(3, 4)
    save_checkpoint(content(spoilt), tmp_path / 'iter_5.pth')
    spoilt[2, 1] = value
    save_checkpoint(content(spoilt), tmp_path / 'iter_10.pth')
    with caplog.at_level(logging.WARNING):
        path, _ = newest_checkpoint(tmp_path)
    assert path.name == 'iter_5.pth'
    (tmp_path / 'iter_5.pth').unlink()
    with pytest.raises(UserError, match=r'iter_10\.pth is not usable: .* is not finite'):
        newest_checkpoint(tmp_path)


def test_tensors_that_are_not_finite_are_named():
    large = torch.full((2,), torch.finfo().max)
    content = {'a': [large, {'b': large.double() * 1e200}], 'empty': torch.zeros(0), 'c': 'nan'}
    assert first_not_finite(content) is None and first_not_finite({}) is None
    content['a'][1]['b'][1] = math.nan
    assert first_not_finite(content) == 'a.1.b'


def test_all_damaged_is_an_error_that_lists_them(tmp_path):
    for iteration in (5, 10):
        save_checkpoint({'w': torch.zeros(9)}, tmp_path / f'iter_{iteration}.pth')
        damage(tmp_path / f'iter_{iteration}.pth', 'truncated')
    with pytest.raises(UserError, match=r'iter_10\.pth.*iter_5\.pth'):
        newest_checkpoint(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path):
    (tmp_path / 'iter_final.pth').touch()
    assert newest_checkpoint(tmp_path) is None
    assert checkpoints(tmp_path) == []
