"""The commands that build a bank: tools/depth_distributions.py, run_seg.py."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_uda.cli import depth_distributions, run_seg
from mmseg_uda.config import locate
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.datasets.published_depth_bank import open_published_bank
from mmseg_uda.errors import UserError

OPTIONS = '--rows', '6', '--nproc', '1'


@pytest.fixture
def config(tiny_config, tmp_path) -> str:
    """Config of a training on the tiny world with depth maps."""
    path = tmp_path / 'cdda.py'
    path.write_text(
        f'_base_ = {tiny_config!r}\n'
        "train_dataloader = dict(dataset=dict(source=dict(depth_dir='depth_any')))\n"
    )
    return str(path)


def test_a_bank(config, tmp_path, capsys):
    out = tmp_path / 'bank'
    depth_distributions.main([config, '--out', str(out), *OPTIONS])
    assert '6 crops of 64x128' in capsys.readouterr().out
    bank = DepthBank.open(out)
    assert len(bank) == 6 and bank.crop_size == (64, 128) and bank.fingerprint['seed'] == 0
    assert not (out / 'images').exists()
    depth_distributions.main([config, '--out', str(out), *OPTIONS])  # as a stage does it again
    with pytest.raises(UserError, match=r'seed: 0 -> 4'):
        depth_distributions.main([config, '--out', str(out), *OPTIONS, '--seed', '4'])
    crop = 'train_dataloader.dataset.source.pipeline.0.crop_size=(32,32)'
    with pytest.raises(UserError, match=r'crop_size: \[64, 128\] -> \[32, 32\]'):
        depth_distributions.main([config, '--out', str(out), *OPTIONS, '--cfg-options', crop])


def test_bad_input(tiny_config, tmp_path):
    with pytest.raises(UserError, match='depth_dir'):
        depth_distributions.main([tiny_config, '--out', str(tmp_path / 'bank'), *OPTIONS])
    with pytest.raises(UserError, match='--nproc 0'):
        depth_distributions.main([tiny_config, '--out', str(tmp_path / 'bank'), '--nproc', '0'])
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='is a file or lies below one'):
        depth_distributions.main([tiny_config, '--out', str(tmp_path / 'file'), *OPTIONS])
    with pytest.raises(UserError, match=r'nowhere\.py does not exist'):
        depth_distributions.main(['nowhere.py', '--out', str(tmp_path / 'bank')])


def test_the_published_form(config, tmp_path):
    out = tmp_path / 'bank'
    depth_distributions.main([config, '--out', str(out), *OPTIONS, '--published', 'toy'])
    bank = DepthBank.open(out)
    files = out / 'toy_6_distribution.pth', out / 'images', out / 'labels'
    assert np.array_equal(open_published_bank(*files).counts, bank.counts)


def test_run_seg(config, tmp_path):
    """The authors' flags; the config's .py may be omitted."""
    out = tmp_path / 'preprocessed'
    argv = ['--config', config.removesuffix('.py'), '--dataset_name', 'synthia']
    argv += ['--source_preprocessed_path', str(out), *OPTIONS]
    matrix = out / 'synthia_6_distribution.pth'
    run_seg.main([*argv, '--not_get_distributions'])
    for folder in ('images', 'labels', 'depth'):
        assert sorted(os.listdir(out / folder)) == [f'{row}.png' for row in range(6)]
    assert not matrix.exists()
    run_seg.main([*argv, '--not_get_images'])
    counted = torch.load(matrix, weights_only=True)
    matrix.unlink()
    run_seg.main(argv)
    assert torch.equal(torch.load(matrix, weights_only=True), counted)
    assert np.array_equal(DepthBank.open(out).counts.swapaxes(0, 1), counted)
    Path(out / 'depth/3.png').unlink()
    with pytest.raises(UserError, match=r'depth/3\.png'):
        run_seg.main([*argv, '--not_get_images'])
    with pytest.raises(SystemExit):
        run_seg.main([*argv, '--not_get_images', '--not_get_distributions'])


def test_run_seg_by_default_takes_a_config_that_is_there(monkeypatch):
    asked = []
    made = 'mmseg_uda.preparation.depth_bank.make_bank_of_config'
    monkeypatch.setattr(made, lambda config, *_, **__: asked.append(config))
    run_seg.main([])
    assert [locate(config).name for config in asked] == ['cdda_daformer_mitb5_gta2cs.py']
