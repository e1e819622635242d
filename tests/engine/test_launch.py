import pytest

from mmseg_uda.engine.launch import joined_processes, torchrun_world
from mmseg_uda.errors import UserError


def test_world_is_what_torchrun_says(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    assert torchrun_world() is None
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '4')
    assert torchrun_world() == (1, 4)


def test_joining_without_torchrun_is_an_error(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match='LOCAL_RANK, RANK, WORLD_SIZE are not set'):
        with joined_processes():
            pass


def test_more_processes_than_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    for name, value in (('RANK', '1'), ('LOCAL_RANK', '1'), ('WORLD_SIZE', '2')):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r'process 2 of this machine has no GPU \(it has 1\)'):
        with joined_processes():
            pass


def test_joined_processes_do_not_join_again(monkeypatch):
    monkeypatch.setattr('torch.distributed.is_initialized', lambda: True)
    monkeypatch.setattr('torch.distributed.destroy_process_group', pytest.fail)
    with joined_processes():  # without torchrun's variables, which joining a group needs
        pass
