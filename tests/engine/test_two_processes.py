"""Two processes with batch 1 each train the same weights as one with batch 2, in float64."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_uda.cli import run as run_experiments
from mmseg_uda.models.checkpoint import load_checkpoint
from tests.precision import assert_same
from tests.tiny_training import ROOT, environment, write_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread', 'float64')]

STEPS = 4
# No batch statistics and no random draws inside the networks: those differ between the processes.
# No feature distance: while the encoder equals its reference, its gradient consists of
# rounding errors (tests/uda/components/test_distributed.py compares it elsewhere).
PLAIN = f"""
custom_imports = dict(imports=['mmseg_uda.register', 'tests.float64_commands'])
norm = dict(type='GN', num_groups=4)
model = dict(
    addons=dict(feature_distance=None),
    segmentor=dict(
        backbone=dict(drop_path_rate=0.0),
        decode_head=dict(dropout_ratio=0.0, norm_cfg=norm),
    ),
)
train_cfg = dict(max_iters={STEPS}, val_interval=100)
randomness = dict(seed=5)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1, weight_decay=0.0))
"""


@pytest.fixture
def config(world, tmp_path) -> str:
    plain = write_config(tmp_path / 'plain.py', world)
    (tmp_path / 'gn.py').write_text(f'_base_ = {plain!r}\n{PLAIN}')
    return str(tmp_path / 'gn.py')


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(path)['state_dict']
    return {name: value for name, value in state.items() if value.is_floating_point()}


def test_two_processes_equal_one(config, tmp_path, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    for processes, batch in ((1, 2), (2, 1)):
        run_experiments.main(
            ['--config', config, '--gpus', str(processes)]
            + ['--work-dir', str(tmp_path / f'gpus{processes}')]
            + ['--cfg-options', f'train_dataloader.batch_size={batch}']
        )
    last = Path('train', f'iter_{STEPS}.pth')
    for processes in (1, 2):
        assert load_checkpoint(tmp_path / f'gpus{processes}' / last)['meta']['seed'] == 5
    one, two = weights(tmp_path / 'gpus1' / last), weights(tmp_path / 'gpus2' / last)
    first = weights(tmp_path / 'gpus1/train/iter_2.pth')
    assert one.keys() == two.keys()
    assert any((value - first[name]).abs().max() > 1e-3 for name, value in one.items())
    assert_same(two, one)

    # two resumed processes end bit-identical to an uninterrupted run
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    shutil.copy(tmp_path / 'gpus2/train/iter_2.pth', resumed)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    command += [ROOT / 'tools/train.py', config, '--work-dir', resumed, '--resume']
    command += ['--cfg-options', 'train_dataloader.batch_size=1']
    subprocess.run(command, check=True, capture_output=True)
    again = weights(resumed / last.name)
    assert all(torch.equal(again[name], value) for name, value in two.items())
