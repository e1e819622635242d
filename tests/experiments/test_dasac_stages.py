"""DA-SAC's stages: published lengths and options, interruption, published files in their place."""

import json
from pathlib import Path

import pytest
import torch

from mmseg_uda.engine.config import load_config
from mmseg_uda.experiments.overview import describe
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.experiments.table import load_table
from mmseg_uda.models.checkpoint import load_checkpoint
from mmseg_uda.preparation.importance_weights import weights_of_predictions
from tests.engine.test_resume import assert_same, kill, wait_for
from tests.tiny_dasac import MAX_ITERS, experiment, published, write_configs
from tests.tiny_training import start

pytestmark = pytest.mark.usefixtures('one_thread')

LAST = f'iter_{MAX_ITERS}.pth'
STAGES = ('abn', 'test_abn', 'importance_weights', 'dasac', 'test_dasac')
# Runs the stages and stops in the last training after two iterations.
STOPPING = """
import sys, time
work_dir, config = sys.argv[1:]
import torch
torch.set_num_threads(1)
from mmseg_uda.engine.hooks import ExactCheckpointHook as hook
after = hook.after_train_iter
def stopping(self, runner, *args, **options):
    after(self, runner, *args, **options)
    if runner.iter == 2 and runner.work_dir.endswith('/dasac'):
        open(work_dir + '/stopped', 'w').close()
        time.sleep(600)
hook.after_train_iter = stopping
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.stages import StageRunner
from tests.tiny_dasac import experiment
StageRunner(Plan(experiment(config), work_dir)).run()
"""
# Of the published snapshots: epochs of the baseline, epochs in total, iterations of an epoch in
# either training; learning rate, colour jitter of the baseline, weight of the target loss, lowest
# threshold, source and target images of a step of the baseline.
PUBLISHED = {
    50: (40, 136, 750, 1125, 2.5e-4, 0.5, 5.0, 0.2, (12, 8)),
    51: (115, 184, 562, 1125, 2.5e-4, 0.4, 2.0, 0.1, (16, 2)),
    52: (40, 112, 562, 1125, 5e-4, 0.4, 2.0, 0.1, (16, 2)),
    53: (90, 164, 783, 1175, 2.5e-4, 0.5, 5.0, 0.2, (12, 8)),
    54: (70, 164, 587, 1175, 2.5e-4, 0.4, 2.0, 0.1, (16, 2)),
    55: (40, 98, 587, 1175, 5e-4, 0.4, 2.0, 0.1, (16, 2)),
}

# Normalisation of the source.
SOURCE = dict(mean=[0.73789, 0.62771, 0.61095], std=[0.31798, 0.29742, 0.30127])


def images(config) -> tuple[int, ...]:
    """Source and target images of a step."""
    block = config.train_dataloader.dataset.block
    return tuple(config.total_batch_size * number for number in block)


@pytest.mark.parametrize('id', PUBLISHED)
def test_lengths_and_options_are_the_published_ones(id):
    first, last, before, after, rate, jitter, weight, lower, batch = PUBLISHED[id]
    stages = {stage.name: stage for stage in load_table()[id].stages}
    assert tuple(stages) == STAGES
    abn, dasac = (load_config(stages[name].config) for name in ('abn', 'dasac'))
    assert abn.train_cfg.max_iters == first * before
    assert dasac.train_cfg.max_iters == (last - first) * after
    assert dasac.model.epoch_length == after
    for config in (abn, dasac):
        assert config.optim_wrapper.optimizer == dict(
            type='SGD', lr=rate, momentum=0.9, weight_decay=5e-4
        )
        assert config.param_scheduler == []
        source = config.model.data_preprocessor.source
        assert [x / 255 for x in source.mean] == pytest.approx(
            [0.73789, 0.62771, 0.61095], abs=1e-5
        )
        assert [x / 255 for x in source.std] == pytest.approx([0.31798, 0.29742, 0.30127], abs=1e-5)
        assert 'Resize' not in {step.type for step in config.test_dataloader.dataset.pipeline}
    assert (images(abn), images(dasac)) == (batch, (8, 2))
    domains = abn.train_dataloader.dataset
    for pipeline in (domains.source.pipeline, domains.target.pipeline):
        steps = {step.type: step for step in pipeline}
        (colours,) = steps['RandomApply'].transforms
        assert colours.brightness == colours.contrast == colours.saturation == jitter
        assert colours.hue == jitter and steps['RandomApply'].prob == 0.5
        assert tuple(steps['LoadScaled'].scales) == (0.5, 2.0)
        assert tuple(steps['PaddedCrop'].crop_size) == (640, 640)
    assert 'AdaptiveBatchNorm' in {addon.type for addon in abn.model.addons.values()}

    model, data = dasac.model, dasac.train_dataloader.dataset
    assert (model.target_weight, model.lower, model.upper) == (weight, lower, 0.75)
    assert (model.beta, model.prior_momentum, model.focal_power) == (1e-3, 0.99, 3)
    assert model.teacher == dict(alpha=0.99, interval=100) and model.confidence == 'batch'
    assert model.segmentor.backbone.norm_eval and not abn.model.segmentor.backbone.norm_eval
    assert model.segmentor.decode_head.get('norm_eval', True)
    assert model.segmentor.pretrained is None and dasac.load_optimizer is True
    ignored = [] if id < 53 else [9, 14, 16]
    assert list(data.target_sampling.get('uniform_classes', [])) == ignored
    assert data.target_sampling.uniform_share == 0.25
    source = {step.type: step for step in data.source.pipeline}
    assert 'RandomApply' not in source and tuple(source['LoadScaled'].scales) == (0.5, 1.0)
    assert tuple(source['PaddedCrop'].crop_size) == (512, 1024)


def run(config: str, work_dir: Path, **options) -> list[str]:
    lines: list[str] = []
    StageRunner(Plan(experiment(config), work_dir, **options), say=lines.append).run()
    return lines


@pytest.fixture(scope='module')
def config(world, tmp_path_factory) -> str:
    return write_configs(tmp_path_factory.mktemp('configs'), world)


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('unbroken')
    run(config, folder)
    torch.set_num_threads(threads)
    return folder


def test_the_last_training_inherits_from_the_baseline(unbroken, config):
    text = describe(Plan(experiment(config), unbroken))
    assert text.count('status: done') == 5 and 'does not exist yet' not in text
    weights = json.loads((unbroken / 'importance_weights/importance_weights.json').read_text())
    assert len(weights['weights']) == 8
    record = json.loads((unbroken / 'dasac/stage.json').read_text())
    assert {'abn.checkpoint', 'importance_weights.weights'} <= record['inputs'].keys()
    for name, value in load_checkpoint(unbroken / 'dasac' / LAST)['state_dict'].items():
        if name.startswith('student.') and 'running_' in name:  # batch norm is frozen
            assert torch.equal(value, load_checkpoint(unbroken / 'abn' / LAST)['state_dict'][name])


def test_published_files_take_the_place_of_the_first_stages(unbroken, config, tmp_path):
    """With the same weights, momentum buffers and importance weights the training is the same."""
    baseline, weights = tmp_path / 'baseline_abn_e040.pth', tmp_path / 'cs_weights_r18_gta.data'
    torch.save(published(unbroken / 'abn' / LAST), baseline)
    abn = config.replace('dasac_tiny', 'abn_tiny')
    weights_of_predictions(abn, str(unbroken / 'abn' / LAST), str(weights))
    given = {'abn': baseline, 'importance_weights': weights}
    lines = run(config, tmp_path / 'out', start_from=given)
    assert sum('given' in line for line in lines) == 2
    assert_same(tmp_path / 'out/dasac' / LAST, unbroken / 'dasac' / LAST)
    assert (tmp_path / 'out/test_abn/scores.json').is_file()


def test_a_published_baseline_alone_is_predicted_with(unbroken, config, tmp_path):
    torch.save(published(unbroken / 'abn' / LAST), tmp_path / 'baseline_abn_e040.pth')
    start_from = {'abn': tmp_path / 'baseline_abn_e040.pth'}
    plan = Plan(experiment(config), tmp_path / 'out', start_from=start_from)
    stages = {stage.name: stage for stage in plan.experiment.stages}
    run(config, tmp_path / 'out', start_from=start_from, only='importance_weights')
    path = plan.outputs(stages['importance_weights'])['weights']
    found, expected = (
        json.loads(file.read_text())['weights']
        for file in (path, unbroken / 'importance_weights/importance_weights.json')
    )
    assert found == expected


@pytest.mark.slow
def test_a_killed_training_resumes_bit_exactly(unbroken, config, tmp_path):
    program = tmp_path / 'run.py'
    program.write_text(STOPPING)
    out = tmp_path / 'out'
    out.mkdir()
    process = start(program, out, config)
    try:
        wait_for(out, 'stopped', process, seconds=400)
    finally:
        kill(process)
    assert 'status: interrupted' in describe(Plan(experiment(config), out))
    lines = run(config, out)
    assert len([line for line in lines if 'done already' in line]) == 3
    assert_same(out / 'dasac' / LAST, unbroken / 'dasac' / LAST)
