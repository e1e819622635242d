import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.registry import DefaultScope

from mmseg_uda.errors import UserError
from mmseg_uda.uda.distributed import average_gradients
from mmseg_uda.uda.pixel_contrast import VARIANTS

from .conftest import build, hrda, segmentor, uda_batch
from .test_self_training import optimiser

STEPS = 3
ALL_FUSION = dict(
    in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3], input_transform='resize_concat'
)


def sepico(variant='dist', norm='BN', parts=None, projection=None, network=segmentor, **options):
    config = network(norm=norm)
    norm_cfg = segmentor(norm=norm)['decode_head']['norm_cfg']
    config['auxiliary_head'] = dict(
        type='ProjectionHead', channels=16, norm_cfg=norm_cfg, **projection or ALL_FUSION
    )
    options = dict(crop_size=(32, 32), start_iteration=1) | options
    return build(
        dict(
            type='SePiCo',
            segmentor=config,
            threshold=0.07,
            contrast=dict(variant=variant, temperature=0.5, min_ratio=0.5, bank_size=3),
            parts=parts or {},
            **options,
        )
    )


def steps(method, number, wrapper=None):
    wrapper = wrapper or optimiser(method)
    logs = []
    for _ in range(number):
        logs.append(method.backward_passes(batch_of(method.iteration), wrapper))
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
    return logs


def batch_of(seed):
    """The source is as large as a crop, the target is larger."""
    batch = uda_batch(seed=seed)
    batch.source.images = batch.source.images[..., :32, :32].contiguous()
    batch.source.labels = batch.source.labels[..., :32, :32].contiguous()
    return batch


def test_a_segmentor_without_projection_head_is_refused():
    with pytest.raises(UserError, match='needs a ProjectionHead'):
        build(dict(type='SePiCo', segmentor=segmentor(), crop_size=(32, 32)))


def test_several_maps_are_contrasted_each_by_itself():
    head = dict(in_channels=[64, 256], in_index=[1, 3], input_transform='multiple_select')
    method = sepico('bank', projection=head)
    assert steps(method, 2)[1]['aux.loss_cl'].isfinite()
    assert len(method.contrast.statistics) == 2


def test_an_hrda_student_contrasts_its_context():
    method = sepico(network=hrda, crop_size=(64, 64), start_iteration=0)
    logs = method.backward_passes(uda_batch(), optimiser(method))
    assert logs['aux.loss_cl'] > 0 and 'decode.hr.loss_seg' in logs
    assert all(value.isfinite() for value in logs.values())


def test_the_contrast_begins_at_its_iteration():
    before, after = steps(sepico(), 2)
    both = {
        'decode.loss_seg',
        'decode.acc_seg',
        'mix.decode.loss_seg',
        'mix.decode.acc_seg',
        'loss',
    }
    assert set(before) == both
    assert set(after) == both | {'aux.loss_cl', 'tgt.aux.loss_cl'}


def test_statistics_grow_from_the_start_and_with_the_source_alone():
    method = sepico()
    steps(method, 1)
    (statistics,) = method.contrast.statistics
    assert 0 < statistics.count.sum() <= 2 * 8 * 8


def test_only_the_student_learns():
    method = sepico()
    before = {name: p.clone() for name, p in method.named_parameters()}
    steps(method, 1)
    changed = {
        n.split('.')[0] for n, p in method.named_parameters() if not torch.equal(p, before[n])
    }
    assert changed == {'student'}


def test_without_trusted_pixels_the_target_contrast_is_zero():
    method = sepico(parts=dict(margins=dict(type='IgnoreMargins', top=32, bottom=0)))
    assert steps(method, 2)[1]['tgt.aux.loss_cl'] == 0


def test_no_forward_is_wasted():
    """Teacher: target, its crop, source features; student: source, target, mixed."""
    method, calls = sepico(), []
    for name, network in (('student', method.student), ('teacher', method.teacher.network)):
        network.backbone.register_forward_hook(lambda *_, name=name: calls.append(name))
        network.decode_head.register_forward_hook(
            lambda *_, name=name: calls.append(f'{name} head')
        )
    method.iteration = 1
    steps(method, 1)
    counts = {name: calls.count(name) for name in set(calls)}
    assert counts == {'student': 3, 'student head': 2, 'teacher': 3, 'teacher head': 2}


@pytest.mark.parametrize('variant', VARIANTS)
def test_state_dict_continues_a_run_exactly(variant):
    unbroken, broken = sepico(variant), sepico(variant)
    wrapper = optimiser(unbroken)
    steps(unbroken, 4, wrapper)

    wrapper = optimiser(broken)
    steps(broken, 2, wrapper)
    resumed = sepico(variant)
    resumed_wrapper = optimiser(resumed)
    resumed.load_state_dict(broken.state_dict())
    resumed_wrapper.load_state_dict(wrapper.state_dict())
    assert resumed.iteration == 2
    steps(resumed, 2, resumed_wrapper)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize('variant', VARIANTS)
def test_the_step_asks_the_device_for_nothing(variant, monkeypatch):
    method = sepico(variant)
    wrapper = optimiser(method)
    steps(method, 1, wrapper)
    batch = batch_of(1)

    def refuse(self, *_):
        raise AssertionError('host round trip in the step')

    for name in ('item', 'tolist', 'cpu', 'numpy', 'nonzero', '__bool__', '__int__', '__float__'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    method.backward_passes(batch, wrapper)


def test_a_day_partner_is_used_for_static_classes_alone():
    day = dict(type='DayPartner', ratio=0.8, classes=[0, 2])
    method = sepico(parts=dict(day=day))
    part = method.parts['day']
    probabilities = torch.rand(2, 2, 19, 3, 3)
    mixed = part.mix(*probabilities)
    share = torch.where(probabilities[0] > 0.4, 0.8, 0.2)
    static = [0, 2]
    expected = share * probabilities[0] + (1 - share) * probabilities[1]
    assert torch.allclose(mixed[:, static], expected[:, static])
    others = [k for k in range(19) if k not in static]
    assert torch.equal(mixed[:, others], probabilities[1][:, others])


def test_a_step_by_night_labels_with_both_images():
    method = sepico(parts=dict(day=dict(type='DayPartner')))
    batch = batch_of(0)
    batch.target.day = batch.target.images.flip(3)
    method.keep_pictures = True
    logs = method.backward_passes(batch, optimiser(method))
    assert all(value.isfinite() for value in logs.values())
    assert method.pictures.batch.target.day.shape == (2, 3, 32, 32)


def test_steps_run_in_bfloat16():
    from mmengine.optim import build_optim_wrapper

    method = sepico('bank')
    wrapper = build_optim_wrapper(
        method, dict(type='AutocastOptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    )
    logs = steps(method, 2, wrapper)
    assert all(value.isfinite() for value in logs[1].values())
    assert all(s.mean.dtype == torch.float32 for s in method.contrast.statistics)


def run(rank: int, world_size: int, results: dict) -> None:
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT='29523')
        dist.init_process_group('gloo', rank=rank, world_size=world_size)
    with DefaultScope.overwrite_default_scope('mmseg'):
        method = sepico('bank', norm='GN')
        wrapper = optimiser(method, lr=1e-5)
    losses, gradients = [], []
    for iteration in range(STEPS):
        batch = batch_of(iteration)
        for domain in (batch.source, batch.target):
            part = slice(rank, rank + 1) if world_size > 1 else slice(None)
            domain.images = domain.images[part]
            domain.labels = None if domain.labels is None else domain.labels[part]
        logs = method.backward_passes(batch, wrapper)
        average_gradients(method)
        gradients.append(
            {n: p.grad.clone() for n, p in method.student.named_parameters() if p.grad is not None}
        )
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
        values = torch.stack(list(logs.values()))
        if world_size > 1:
            dist.all_reduce(values)
        losses.append(dict(zip(logs, (values / world_size).tolist(), strict=True)))
    if rank == 0:
        (statistics,) = method.contrast.statistics
        state = {name: value.clone() for name, value in statistics.state_dict().items()}
        results[world_size] = dict(losses=losses, gradients=gradients, statistics=state)
    if world_size > 1:
        dist.destroy_process_group()


def test_two_ranks_equal_one_rank_with_the_whole_batch():
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(run, (2, results), nprocs=2)
        mp.spawn(run, (1, results), nprocs=1)
        one, two = results[1], results[2]
    for alone, together in zip(one['losses'], two['losses'], strict=True):
        for name, value in alone.items():
            assert abs(value - together[name]) < 1e-5 * max(1, abs(value)), name
    for alone, together in zip(one['gradients'], two['gradients'], strict=True):
        for name, value in alone.items():
            assert torch.allclose(value, together[name], atol=1e-5), name
    for name, value in one['statistics'].items():
        assert torch.allclose(value, two['statistics'][name], atol=1e-5), name
