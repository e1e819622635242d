from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmseg_uda.uda.components.draws import StepDraws
from tests.uda.conftest import build, hrda, segmentor, uda_batch
from tests.uda.steps import learn, optimiser, steps

ADDONS = dict(
    feature_distance=dict(type='FeatureDistance', classes=list(range(19))),
    margins=dict(type='IgnoreMargins', top=4, bottom=8),
)


def self_training(**options):
    options = dict(segmentor=segmentor(), addons=ADDONS) | options
    return build(dict(type='SelfTraining', **options))


def test_a_step_logs_each_loss_and_their_sum():
    (logs,) = steps(self_training(), 1)
    losses = [
        logs[name]
        for name in ('decode.loss_seg', 'src.loss_imnet_feat_dist', 'mix.decode.loss_seg')
    ]
    assert logs['loss'].item() == pytest.approx(sum(losses).item(), rel=1e-6)
    assert {'decode.acc_seg', 'mix.decode.acc_seg'} < logs.keys()


def test_only_the_student_learns():
    changed, _ = learn(self_training())
    assert changed == {'student'}  # at the first step the teacher copies what it already is


def test_the_teacher_follows():
    method = self_training()
    steps(method, 3)
    teacher = dict(method.teacher.network.named_parameters())
    assert any(not torch.equal(p, teacher[n]) for n, p in method.student.named_parameters())


def test_mixed_pixels_outside_the_margins_count_and_source_pixels_always_do():
    method = self_training(threshold=0.0)
    method.keep_pictures = True
    steps(method, 1)
    step = method.pictures
    pasted = (step.mixed.labels != step.pseudo.labels) | (step.mixed.weight == 1)
    assert (step.pseudo.weight[:, :4] == 0).all() and (step.pseudo.weight[:, -8:] == 0).all()
    assert ((step.mixed.weight == 1) | (step.mixed.weight == step.pseudo.weight)).all()
    assert (step.mixed.weight[pasted] == 1).all()


def test_unlabelled_batches_and_empty_masks_stay_finite():
    method = self_training()
    batch = uda_batch()
    batch.source.labels.fill_(255)
    logs = method.backward_passes(method.begin(batch), optimiser(method))
    assert all(value.isfinite() for value in logs.values())
    assert logs['decode.loss_seg'] == 0


def test_draws_depend_on_the_key_and_the_global_image_alone(monkeypatch):
    both = StepDraws(seed=1, iteration=5, batch_size=2)
    monkeypatch.setattr('mmseg_uda.uda.components.draws.get_rank', lambda: 1)
    second = StepDraws(seed=1, iteration=5, batch_size=1)
    assert both.triggers() == second.triggers()
    assert torch.equal(both.class_keys()[1:], second.class_keys())
    assert both.jitters(0.2)[1:] == second.jitters(0.2)
    assert both.sigmas()[1:] == second.sigmas()
    assert both.sigmas() != StepDraws(1, 6, 2).sigmas()


def test_hrda_learns_from_fused_and_detail_in_each_pass():
    (logs,) = steps(self_training(segmentor=hrda(feature_scale='all')), 1)
    assert [name for name in logs if 'loss' in name] == [
        *('decode.loss_seg', 'decode.hr.loss_seg', 'src.loss_imnet_feat_dist'),
        'loss',
        *('mix.decode.loss_seg', 'mix.decode.hr.loss_seg'),
    ]


def test_the_forward_passes_run_inside_autocast():
    method = self_training()
    wrapper = build_optim_wrapper(
        method, dict(type='AutocastOptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    )
    seen = []

    @contextmanager
    def record(model):
        with type(wrapper).optim_context(wrapper, model):
            seen.append(torch.is_autocast_enabled('cpu'))
            yield

    wrapper.optim_context = record
    logs = method.backward_passes(method.begin(uda_batch()), wrapper)
    assert seen and all(seen) and logs['loss'].dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in method.student.parameters())
