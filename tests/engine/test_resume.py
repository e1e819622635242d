"""A killed and resumed training ends with the same weights as an uninterrupted one."""

import operator
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from mmseg_uda.cli import depth_distributions, train
from mmseg_uda.cli import run as run_experiments
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.experiments.records import read_record
from mmseg_uda.models.checkpoint import load_checkpoint
from mmseg_uda.settings import flatten
from tests.tiny_training import MAX_ITERS, ROOT, failure, start, write_config

pytestmark = pytest.mark.usefixtures('one_thread')

LAST = f'iter_{MAX_ITERS}.pth'
# Sleeps after the checkpoint of iteration 4 is written and before it is renamed.
SLOW_WRITE = """
import os, sys, time
fsync = os.fsync

def slow_fsync(handle):
    fsync(handle)
    if '.iter_4.pth.' in os.readlink(f'/proc/self/fd/{handle}'):
        time.sleep(600)

os.fsync = slow_fsync
from mmseg_uda.cli.train import main
main(sys.argv[1:])
"""


def workers(number: int) -> list[str]:
    return ['--cfg-options', f'train_dataloader.num_workers={number}']


def wait_for(folder: Path, pattern: str, process=None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.01)


def kill(process) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL


def content(path: Path) -> dict:
    """A checkpoint as one dict of dotted keys, without the entries that depend on the command."""
    checkpoint = load_checkpoint(path)
    del checkpoint['meta']['time'], checkpoint['meta']['config']
    return flatten(checkpoint)


def assert_same(path: Path, reference: Path) -> None:
    """All tensors (bit by bit), numbers and strings of two checkpoints are equal."""
    one, two = content(path), content(reference)
    assert list(one) == list(two)
    for key, value in one.items():
        same = torch.equal if isinstance(value, torch.Tensor) else operator.eq
        assert same(value, two[key]), key


@pytest.fixture(scope='module')
def unbroken(tiny_config, tmp_path_factory) -> Path:
    """Work dir of an uninterrupted training."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('unbroken')
    train.main([tiny_config, '--work-dir', str(folder)])
    torch.set_num_threads(threads)
    return folder


def test_a_checkpoint_holds_what_a_run_needs(unbroken):
    checkpoint = load_checkpoint(unbroken / LAST)
    weights = checkpoint['state_dict']
    modules = {name.split('.')[0] for name in weights}
    assert modules == {'student', 'teacher', 'addons', '_extra_state'}
    assert checkpoint['meta']['iter'] == int(weights['_extra_state']) == MAX_ITERS
    assert len(checkpoint['param_schedulers']) == 2 and checkpoint['optimizer']['state']
    networks = (
        'student.backbone.',
        'teacher.network.backbone.',
        'addons.feature_distance.encoder.',
    )
    one, two, three = (weights[f'{network}norm4.weight'] for network in networks)
    assert not (torch.equal(one, two) or torch.equal(one, three) or torch.equal(two, three))


def test_loader_workers_change_nothing(tiny_config, unbroken, tmp_path):
    train.main([tiny_config, '--work-dir', str(tmp_path), *workers(2)])
    assert_same(tmp_path / LAST, unbroken / LAST)


@pytest.mark.slow
def test_other_seed_is_another_run(tiny_config, unbroken, tmp_path):
    train.main([tiny_config, '--work-dir', str(tmp_path), '--seed', '1'])
    key = 'state_dict.student.decode_head.conv_seg.weight'
    assert not torch.equal(content(tmp_path / LAST)[key], content(unbroken / LAST)[key])


@pytest.mark.slow
def test_killed_between_two_checkpoints(tiny_config, unbroken, tmp_path):
    command = [tiny_config, '--work-dir', str(tmp_path), '--resume', *workers(2)]
    process = start(ROOT / 'tools/train.py', *command)
    wait_for(tmp_path, 'iter_2.pth', process)
    time.sleep(0.1)
    kill(process)
    assert not (tmp_path / LAST).exists()
    train.main(command)
    assert_same(tmp_path / LAST, unbroken / LAST)


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written(tiny_config, unbroken, tmp_path):
    command = [tiny_config, '--work-dir', str(tmp_path), '--resume', *workers(0)]
    process = start('-c', SLOW_WRITE, *command)
    wait_for(tmp_path, '.iter_4.pth.*.tmp', process)
    kill(process)
    assert [path.name for path in checkpoints(tmp_path)] == ['iter_2.pth']
    train.main(command)
    assert_same(tmp_path / LAST, unbroken / LAST)
    assert not list(tmp_path.glob('.iter_*'))  # files of the killed process are gone


@pytest.mark.slow
def test_killed_experiment_goes_on_by_itself(tiny_config, unbroken, tmp_path, capsys):
    command = ['--config', tiny_config, '--work-dir', str(tmp_path), *workers(0)]
    process = start(ROOT / 'run_experiments.py', *command)
    folder = tmp_path / 'train'
    wait_for(folder, 'iter_2.pth', process)
    kill(process)
    assert read_record(folder)['finished'] is None
    run_experiments.main(command)
    said = capsys.readouterr().out
    assert 'resumes from iter_' in said and 'mIoU' in said
    assert_same(folder / LAST, unbroken / LAST)
    run_experiments.main(command)
    assert capsys.readouterr().out.count('done already') == 2


def killed_and_resumed(config: str, folder: Path) -> dict:
    """The last checkpoint of a killed training equals that of an uninterrupted one."""
    unbroken, broken = folder / 'unbroken', folder / 'broken'
    train.main([config, '--work-dir', str(unbroken)])
    process = start(ROOT / 'tools/train.py', config, '--work-dir', broken)
    wait_for(broken, 'iter_4.pth', process)
    kill(process)
    assert not (broken / LAST).exists()
    train.main([config, '--work-dir', str(broken), '--resume'])
    assert_same(broken / LAST, unbroken / LAST)
    return content(unbroken / LAST)


@pytest.mark.slow
@pytest.mark.parametrize('variant', ['dist', 'bank', 'proto'])
def test_killed_sepico_goes_on_with_its_statistics(world, tmp_path, variant):
    config = write_config(
        tmp_path / 'sepico.py',
        world,
        "model['start_iteration'] = 1\n",
        base=f'sepico_{variant}_mitb0_toy_game2city.py',
    )
    last = killed_and_resumed(config, tmp_path)
    kept = {name for name in last if name.startswith('state_dict.contrast.')}
    assert kept, 'class statistics belong to a checkpoint'


@pytest.mark.slow
def test_killed_adversarial_goes_on_with_its_discriminator_and_the_teacher_of_mic(world, tmp_path):
    more = """
del model['threshold'], model['jitter_threshold']
model['addons']['mic'] = dict(
    type='MaskedConsistency', block_size=16, alpha=0.9, threshold=0.07, jitter_threshold=0.0
)
train_dataloader['dataset']['rare_class_sampling'].update(class_temp=0.1, min_crop_ratio=0.5)
"""
    base = 'advseg_mitb0_toy_game2city.py'
    last = killed_and_resumed(write_config(tmp_path / 'adv.py', world, more, base), tmp_path)
    for start_of_name in (
        'state_dict.discriminator.main.conv1.weight',
        'state_dict.addons.mic.teacher.network.',
        'optimizer.discriminator.state.',
        'optimizer.student.state.',
    ):
        assert any(name.startswith(start_of_name) for name in last), start_of_name


HRDA_MIC_CDDA = """
head = dict(
    type='DAFormerHead',
    in_channels=[32, 64, 160, 256],
    in_index=[0, 1, 2, 3],
    channels=8,
    embed_dims=8,
    num_classes=19,
    dropout_ratio=0.1,
)
model['segmentor'] |= dict(
    type='HRDASegmentor',
    decode_head=dict(_delete_=True, type='HRDAHead', head=head, attention_channels=8),
    detail_size=(32, 64),
)
model['addons'] |= dict(
    cdda=dict(type='CDDA', bank={bank!r}, reweight_threshold=-1, relabel_threshold=-1),
    mic=dict(type='MaskedConsistency', block_size=16, alpha=0.9),
)
for domain, folder in dict(source='depth_any', target='depth_any/train').items():
    train_dataloader['dataset'][domain]['depth_dir'] = folder
"""


@pytest.mark.slow
def test_killed_hrda_with_mic_and_cdda_goes_on(world, tmp_path, capfd):
    bank = tmp_path / 'bank'
    config = write_config(tmp_path / 'all.py', world, HRDA_MIC_CDDA.format(bank=str(bank)))
    depth_distributions.main([config, '--out', str(bank), '--rows', '8', '--nproc', '1'])
    last = killed_and_resumed(config, tmp_path)
    assert any('.mic.teacher.' in name for name in last)

    more = '--work-dir', tmp_path / 'other', '--cfg-options'
    flip = 'train_dataloader.dataset.source.pipeline.1.prob=0.3'
    said = failure(capfd, train.main, config, *more, flip)
    assert f'{bank}: the bank does not fit the training: flip: 0.5 -> 0.3' in said


@pytest.mark.parametrize('how', ['truncated', 'byte flipped'])
def test_damaged_newest_checkpoint_falls_back(tiny_config, unbroken, tmp_path, how):
    os.link(unbroken / 'iter_4.pth', tmp_path / 'iter_4.pth')
    data = bytearray((unbroken / LAST).read_bytes())
    if how == 'truncated':
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 1
    (tmp_path / LAST).write_bytes(data)
    train.main([tiny_config, '--work-dir', str(tmp_path), '--resume'])
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'WARNING' in log and f'{tmp_path / LAST} is damaged' in log
    assert 'iter_4.pth at iteration 4' in log
    assert_same(tmp_path / LAST, unbroken / LAST)


def test_finished_run_resumed_stays_as_it_is(tiny_config, unbroken):
    before = (unbroken / LAST).read_bytes()
    train.main([tiny_config, '--work-dir', str(unbroken), '--resume'])
    assert (unbroken / LAST).read_bytes() == before
