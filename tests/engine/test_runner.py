import logging

import pytest
import torch

from mmseg_uda.engine.runner import newest_checkpoint
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.records import checkpoints
from mmseg_uda.models.checkpoint import save_checkpoint
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
