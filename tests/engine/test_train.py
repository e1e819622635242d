"""The training command: its options, errors, log and output files."""

import json
import math
import re
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmseg_uda.cli import test as tools_test
from mmseg_uda.cli import train
from mmseg_uda.config import read_config
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.train import build_runner
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import UserError
from mmseg_uda.models.checkpoint import load_checkpoint
from mmseg_uda.uda.method import UDAMethod
from tests.tiny_training import MAX_ITERS, SIZE, write_config

pytestmark = pytest.mark.usefixtures('one_thread')

SHORT = ['train_cfg.max_iters=2', 'train_cfg.val_interval=9']


def run(config: str, work_dir: Path, *options: str, flags: tuple[str, ...] = ()) -> None:
    options = ['--cfg-options', *options] if options else []
    train.main([config, '--work-dir', str(work_dir), *flags, *options])


def scalars(work_dir: Path) -> list[dict]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('trained')
    run(tiny_config, work_dir, flags=('--tensorboard',))
    return work_dir


def test_seed_goes_everywhere(tiny_config):
    config = load_config(tiny_config, seed=5)
    assert config.randomness.seed == config.model.seed == 5
    assert config.train_dataloader.dataset.seed == 5


def test_seed_needs_no_randomness_section(tiny_config, tmp_path):
    path = tmp_path / 'without.py'
    config = read_config(tiny_config)
    config.pop('randomness')
    config.dump(path)
    assert load_config(path).randomness.seed == 0
    config = load_config(path, seed=5)
    assert config.randomness.seed == config.model.seed == 5


def test_sampler_follows_the_batch_size(tiny_config):
    config = load_config(tiny_config, {'train_dataloader.batch_size': 7})
    assert config.train_dataloader.sampler.batch_size == 7


def test_processes_share_the_total_batch(tiny_config, tmp_path, monkeypatch):
    path = tmp_path / 'total.py'
    path.write_text(f'_base_ = {tiny_config!r}\ntotal_batch_size = 8\n')
    assert load_config(path).train_dataloader.batch_size == 8
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('WORLD_SIZE', '4')
    config = load_config(path)
    assert config.train_dataloader.batch_size == config.train_dataloader.sampler.batch_size == 2
    with pytest.raises(
        UserError, match='total_batch_size 6 must be a multiple of .* 4: start 1, 2, 3 or 6'
    ):
        load_config(path, {'total_batch_size': 6})
    with pytest.raises(UserError, match='set total_batch_size'):
        load_config(path, {'train_dataloader.batch_size': 3})


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('no_such', 'has no key no_such'),
        ('segmentor.pretrained', 'has no key segmentor'),  # used: model.segmentor
        ('optim_wraper.optimizer.lr', 'did you mean optim_wrapper'),
        ('optim_wrapper.optimiser.lr', 'did you mean optimizer'),
        ('custom_hooks.9.interval', '9 is not an index'),
        ('train_cfg.max_iters.x', 'train_cfg.max_iters has no keys'),
    ],
)
def test_unknown_option_is_refused_with_a_hint(tiny_config, key, message):
    with pytest.raises(UserError, match=message):
        load_config(tiny_config, {key: 1})


def test_a_config_is_found_without_its_ending(tiny_config, tmp_path, monkeypatch):
    path = Path(tiny_config)
    monkeypatch.chdir(path.parent)
    for name in (path.with_suffix(''), path.stem, path.name):
        assert Path(load_config(name).filename).resolve() == path.resolve()
    monkeypatch.chdir(tmp_path)
    config = load_config('configs/toy/daformer_mitb0_toy_game2city')  # next to the package
    assert config.work_dir == 'work_dirs/daformer_mitb0_toy_game2city'


def test_missing_relative_paths_are_named_with_the_folder(tiny_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = re.escape(f'(looked for in {tmp_path}')
    with pytest.raises(UserError, match=rf'config no/such does not exist {here} and .*\)$'):
        load_config('no/such')
    with pytest.raises(UserError, match=rf'^no.pth does not exist {here}\)$'):
        load_checkpoint('no.pth')
    with pytest.raises(UserError, match=r'^/no.pth does not exist$'):
        load_checkpoint('/no.pth')
    for key, message in (
        ('model.segmentor.pretrained=no.pth', 'pretrained weights no.pth do not exist'),
        ('val_dataloader.dataset.data_root=no', 'no folder no/.* for the images'),
    ):
        with pytest.raises(UserError, match=rf'{message} {here}\)'):
            train.main([tiny_config, '--work-dir', 'out', '--cfg-options', key])


def test_missing_and_broken_config(tmp_path):
    with pytest.raises(UserError, match='nowhere.py does not exist'):
        load_config(tmp_path / 'nowhere.py')
    (tmp_path / 'broken.py').write_text('model = dict(')
    with pytest.raises(UserError, match=r'broken\.py cannot be read'):
        load_config(tmp_path / 'broken.py')


def test_used_work_dir_is_refused(tiny_config, trained):
    before = {path: path.stat().st_mtime_ns for path in checkpoints(trained)}
    with pytest.raises(UserError, match=f'holds iter_{MAX_ITERS}.pth .* add --resume'):
        run(tiny_config, trained)
    assert before == {path: path.stat().st_mtime_ns for path in checkpoints(trained)}


def test_the_last_two_checkpoints_stay(trained):
    assert [path.name for path in checkpoints(trained)] == ['iter_6.pth', 'iter_4.pth']


def test_fewer_than_two_checkpoints_are_refused(tiny_config, tmp_path):
    with pytest.raises(UserError, match='keep=1'):
        run(tiny_config, tmp_path, 'default_hooks.checkpoint.keep=1')


def test_the_best_of_all_validations_is_kept_and_survives_a_resume(tiny_config, tmp_path):
    options = ('train_cfg.val_interval=2', 'default_hooks.checkpoint.save_best=mIoU')
    run(tiny_config, tmp_path, *options)
    log = next(tmp_path.glob('*/*.log')).read_text()
    figures = [float(figure) for figure in re.findall(r' mIoU: ([\d.]+)', log)]
    best = load_checkpoint(tmp_path / 'best_mIoU.pth')
    assert len(figures) == MAX_ITERS // 2
    assert best['meta']['score'] == pytest.approx(max(figures), abs=1e-4)
    assert best['meta']['iter'] == 2 * (figures.index(max(figures)) + 1)
    out = tmp_path / 'test'
    best_path = str(tmp_path / 'best_mIoU.pth')
    tools_test.main([tiny_config, best_path, '--eval', 'mIoU', '--work-dir', str(out)])
    scores = json.loads((out / 'scores.json').read_text())
    assert scores['mIoU'] == pytest.approx(best['meta']['score'])

    best['meta']['score'] = 99.0  # of the first part of a resumed run
    torch.save(best, tmp_path / 'best_mIoU.pth')
    (tmp_path / f'iter_{MAX_ITERS}.pth').unlink()
    run(tiny_config, tmp_path, *options, flags=('--resume',))
    assert (tmp_path / f'iter_{MAX_ITERS}.pth').exists()
    assert load_checkpoint(tmp_path / 'best_mIoU.pth')['meta']['score'] == 99


def test_best_by_an_unknown_figure_is_refused(tiny_config, tmp_path):
    with pytest.raises(UserError, match="save_best='IoU' .* choose from mIoU, mAcc, aAcc"):
        run(tiny_config, tmp_path, *SHORT, 'default_hooks.checkpoint.save_best=IoU')
    assert not checkpoints(tmp_path)


def test_log_lines(trained):
    lines = scalars(trained)
    steps = [line for line in lines if 'loss' in line]
    assert [line['step'] for line in steps] == list(range(1, MAX_ITERS + 1))
    for line in steps:
        parts = ('decode.loss_seg', 'mix.decode.loss_seg', 'src.loss_imnet_feat_dist')
        assert all(math.isfinite(line[name]) for name in (*parts, 'lr', 'time', 'data_time'))
        assert {'decode.acc_seg', 'mix.decode.acc_seg'} < line.keys()
        assert [name for name in line if name.endswith('lr')] == ['lr']
    assert [line['step'] for line in lines if 'mIoU' in line] == [4, MAX_ITERS]
    log = next(trained.glob('*/*.log')).read_text()
    assert f'Iter(train) [{MAX_ITERS}/{MAX_ITERS}]' in log and 'eta:' in log


def test_the_log_calls_no_process_a_gpu(trained):
    (log,) = trained.glob('*/*.log')
    text = log.read_text()
    assert 'processes: 1\n' in text and 'GPU number' not in text
    assert 'max_iters=' in text and 'PyTorch: ' in text


def test_one_rate_for_each_optimiser_is_logged(world, tmp_path):
    """The config's learning rate, before the group multipliers."""
    more = """
del model['threshold'], model['jitter_threshold']
optim_wrapper = dict(
    student=dict(paramwise_cfg=dict(custom_keys=dict(patch_embed1=dict(lr_mult=3.0))))
)
"""
    config = write_config(tmp_path / 'adv.py', world, more, 'advseg_mitb0_toy_game2city.py')
    run(config, tmp_path, *SHORT, 'param_scheduler=[]')
    wrappers = load_config(config).optim_wrapper
    lines = [line for line in scalars(tmp_path) if 'loss' in line]
    for line in lines:  # the first group is that of the patch embedding
        rates = {name: value for name, value in line.items() if name.endswith('lr')}
        assert rates == {
            f'{name}.lr': wrappers[name].optimizer.lr for name in ('student', 'discriminator')
        }
    assert len(lines) == 2


def test_tensorboard_scalars(trained):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = trained.glob('*/vis_data/events.out.tfevents.*')
    found = EventAccumulator(str(events)).Reload()
    assert {'loss', 'lr', 'mIoU'} <= set(found.Tags()['scalars'])
    assert [event.step for event in found.Scalars('loss')] == list(range(1, MAX_ITERS + 1))


def test_picture_panels(trained):
    pictures = sorted((trained / 'pictures').iterdir())
    assert [path.name for path in pictures] == ['000005_0.png', '000005_1.png']
    panel = cv2.imread(str(pictures[0]))
    height, width = SIZE
    assert panel.shape == (3 * height, 3 * width, 3)
    tiles = panel.reshape(3, height, 3, width, 3).swapaxes(1, 2).reshape(9, -1)
    assert all(tile.std() > 0 for index, tile in enumerate(tiles) if index not in (5, 8))


def test_the_rates_are_warm_up_times_linear_decay(tiny_config, trained):
    """lr_i = lr (1 - i / max) (1 - (1 - i / warm-up)(1 - 1e-6)), the config's schedule."""
    config = load_config(tiny_config)
    base, warm_up, end = config.optim_wrapper.optimizer.lr, 3, config.train_cfg.max_iters
    rates = [line['lr'] for line in scalars(trained) if 'loss' in line]
    for i, rate in enumerate(rates):
        ramp = 1 - max(0, 1 - i / warm_up) * (1 - 1e-6)
        assert rate == pytest.approx(base * (1 - i / end) * ramp, rel=1e-9), i


def test_not_finite_loss_stops_before_a_checkpoint_is_replaced(tiny_config, tmp_path):
    with pytest.raises(UserError, match=r'loss.* became nan between .*earlier checkpoints'):
        run(
            tiny_config,
            tmp_path,
            'optim_wrapper.optimizer.lr=1e30',
            'default_hooks.logger.interval=50',
            'default_hooks.checkpoint.interval=1',
        )
    assert [path.name for path in checkpoints(tmp_path)] == ['iter_1.pth']


@pytest.mark.parametrize('value', ['nan', 'inf'])
@pytest.mark.parametrize(
    'name', ['student.decode_head.conv_seg.weight', 'teacher.network.decode_head.conv_seg.bias']
)
def test_not_finite_weights_are_not_written(tiny_config, tmp_path, monkeypatch, name, value):
    """Weights become NaN in the step of a checkpoint while the losses are still finite."""
    step = UDAMethod.train_step

    def spoil(method, *arguments, **named):
        logs = step(method, *arguments, **named)
        if method.iteration == 4:
            with torch.no_grad():
                method.get_parameter(name).view(-1)[3] = float(value)
        return logs

    monkeypatch.setattr(UDAMethod, 'train_step', spoil)
    message = rf'iter_4\.pth is not written: state_dict\.{name} is not finite at iteration 4'
    with pytest.raises(UserError, match=message):
        run(tiny_config, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ['iter_2.pth']


def test_speed_options_train(tiny_config, tmp_path):
    run(
        tiny_config,
        tmp_path,
        'optim_wrapper.type=AutocastOptimWrapper',
        'channels_last=True',
        *SHORT,
    )
    losses = [line['loss'] for line in scalars(tmp_path) if 'loss' in line]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    weights = load_checkpoint(tmp_path / 'iter_2.pth')['state_dict']
    assert weights['student.decode_head.conv_seg.weight'].dtype == torch.float32


def test_bf16_in_channels_last_is_refused_where_it_goes_wrong(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    options = ('optim_wrapper.type=AutocastOptimWrapper', 'channels_last=True')
    with pytest.raises(UserError, match='OMP_NUM_THREADS=1'):
        run(tiny_config, tmp_path, *options, *SHORT)


def test_source_only_has_no_pictures(world, tmp_path):
    more = "model = dict(_delete_=True, type='SourceOnly', segmentor={{_base_.segmentor}})\n"
    config = write_config(tmp_path / 'source_only.py', world, more)
    run(config, tmp_path, *SHORT, 'custom_hooks.1.interval=1')
    assert (tmp_path / 'iter_2.pth').is_file() and not (tmp_path / 'pictures').exists()


def test_groups_of_parameters(tiny_config, tmp_path):
    """AdamW as published: 10 times the rate in heads, no weight decay of the encoder's norms."""
    config = load_config(tiny_config, work_dir=tmp_path)
    method = build_runner(config).model
    wrapper = build_optim_wrapper(
        method,
        dict(
            constructor='UDAOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=6e-5, weight_decay=0.01),
            paramwise_cfg=dict(
                custom_keys=dict(
                    head=dict(lr_mult=10.0),
                    pos_block=dict(decay_mult=0.0),
                    norm=dict(decay_mult=0.0),
                )
            ),
        ),
    )
    names = {id(p): name for name, p in method.named_parameters()}
    settings = {}
    for group in wrapper.optimizer.param_groups:
        for p in group['params']:
            settings[names[id(p)]] = (group['lr'], group['weight_decay'])
    assert len(wrapper.optimizer.param_groups) == 3
    for name in dict(method.student.named_parameters(prefix='student')):
        rate, decay = settings.pop(name)
        assert rate == pytest.approx(6e-4 if 'head' in name else 6e-5), name
        assert decay == (0 if 'norm' in name and 'head' not in name else 0.01), name
    assert not settings  # of frozen networks


def test_training_starts_from_the_student_of_another_method(tiny_config, trained, tmp_path):
    """Only weights are loaded: iteration, distributions, optimiser restart; teachers are copies."""
    checkpoint = trained / f'iter_{MAX_ITERS}.pth'
    student = {
        name.removeprefix('student.'): value
        for name, value in load_checkpoint(checkpoint)['state_dict'].items()
        if name.startswith('student.')
    }
    config = load_config(tiny_config, {'load_from': str(checkpoint)}, work_dir=tmp_path)
    for model in (config.model, dict(type='SDCA', segmentor=config.model.segmentor, seed=0)):
        config.model = model
        config.experiment_name = f'starts_as_{model["type"]}'
        runner = build_runner(config)
        runner._init_model_weights()
        runner.load_or_resume()
        networks = [runner.model.student]
        if hasattr(runner.model, 'teacher'):
            networks.append(runner.model.teacher.network)
        for network in networks:
            for name, value in network.state_dict().items():
                assert torch.equal(value, student[name]), name
        assert runner.model.iteration == 0


def test_a_picture_that_cannot_be_written_is_a_warning(tiny_config, tmp_path):
    (tmp_path / 'pictures').touch()  # a file where the folder should be
    run(tiny_config, tmp_path, *SHORT, 'custom_hooks.1.interval=1')
    assert (tmp_path / 'iter_2.pth').is_file()
    (log,) = tmp_path.glob('*/*.log')
    assert (
        log.read_text().count('The training continues without this picture') == 4
    )  # 2 images each
