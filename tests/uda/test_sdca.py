import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmseg_uda.uda.distributed import average_gradients
from mmseg_uda.uda.pseudo_labels import confident_labels
from mmseg_uda.uda.semantic_distributions import SemanticDistributions

from .conftest import build, segmentor, uda_batch
from .test_self_training import optimiser, steps

STEPS = 3
LOSSES = {'decode.loss_seg', 'loss_feat', 'loss_out', 'tgt.loss_feat', 'tgt.loss_out'}


def sdca(norm='BN', lovasz_weight=0.0, **options):
    network = {**segmentor(norm=norm), 'average': 'valid', 'lovasz_weight': lovasz_weight}
    options = dict(confidence=0.07, temperature=0.5) | options
    return build(dict(type='SDCA', segmentor=network, **options))


def test_a_step_logs_each_loss_and_their_sum():
    (logs,) = steps(sdca(lovasz_weight=0.75), 1)
    losses = LOSSES | {'decode.loss_lovasz'}
    assert set(logs) == losses | {'decode.acc_seg', 'loss'}
    assert logs['loss'].item() == pytest.approx(sum(logs[n].item() for n in losses), rel=1e-6)


def test_gradients_are_those_of_one_loss_against_the_updated_distributions():
    method = sdca(norm='GN', feature_weight=3.0, output_weight=2.0)
    batch = uda_batch()
    method.backward_passes(batch, optimiser(method))
    gradients = {n: p.grad.clone() for n, p in method.student.named_parameters()}
    method.zero_grad()

    student, distributions = method.student, SemanticDistributions.of(method.student)
    supervision = student.supervise(batch.source.images, batch.source.labels)
    source = {'feat': supervision.features[-1], 'out': supervision.logits}
    features = student.features(batch.target.images)
    target = {'feat': features[-1], 'out': student.decode(features)}
    labels = confident_labels(target['out'], 0.07)
    assert 0 < (labels != 255).float().mean() < 1
    distributions.update(source, batch.source.labels)
    loss = supervision.losses['decode.loss_seg']
    for maps, own in ((source, batch.source.labels), (target, labels)):
        contrast = distributions.loss(maps, own, 0.5)
        loss = loss + 3 * contrast['feat'] + 2 * contrast['out']
    loss.backward()
    for name, p in student.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, atol=1e-6, rtol=1e-4)


def test_the_distributions_are_of_the_source_alone():
    method = sdca()
    steps(method, 1)
    labels = uda_batch(seed=0).source.labels
    expected = (labels != 255).sum() // 16**2  # the output level has a cell for 4 x 4 pixels
    assert method.distributions.levels['out'].count.sum() == 16 * expected
    assert method.distributions.levels['feat'].count.sum() <= 2 * 2 * 2


def test_a_level_without_weight_is_left_out():
    method = sdca(output_weight=0.0)
    (logs,) = steps(method, 1)
    assert LOSSES - set(logs) == {'loss_out', 'tgt.loss_out'}
    assert not method.distributions.levels['out'].count.any()


def test_without_confident_cells_the_target_adds_nothing():
    (logs,) = steps(sdca(confidence=1.0), 1)
    assert logs['tgt.loss_feat'] == logs['tgt.loss_out'] == 0


def test_no_forward_is_wasted():
    method, calls = sdca(), []
    for part in (method.student.backbone, method.student.decode_head):
        part.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    steps(method, 1)
    assert calls == ['MiT', 'DAFormerHead'] * 2


def test_masked_consistency_joins():
    mic = dict(type='MaskedConsistency', block_size=16, alpha=0.9, threshold=0.07)
    method = sdca(parts=dict(mic=mic))
    alone, joined = steps(sdca(), 1)[0], steps(method, 1)[0]
    assert 0 < joined['masked.decode.loss_seg'].isfinite()
    assert all(torch.equal(joined[name], alone[name]) for name in LOSSES)


def test_it_starts_from_the_statistics_of_a_folder_or_file(tmp_path):
    method = sdca()
    steps(method, 1)
    method.distributions.save(tmp_path)
    for place in (tmp_path, tmp_path / 'feat_dist.pth'):
        other = sdca(statistics=str(place))
        assert not other.distributions.levels['feat'].count.any()
        other.init_weights()
        for name, value in method.distributions.state_dict().items():
            assert torch.equal(value, other.distributions.state_dict()[name]), name


def test_state_dict_continues_a_run_exactly():
    unbroken, broken = sdca(), sdca()
    steps(unbroken, 4, optimiser(unbroken))

    wrapper = optimiser(broken)
    steps(broken, 2, wrapper)
    resumed = sdca()
    resumed_wrapper = optimiser(resumed)
    resumed.load_state_dict(broken.state_dict())
    resumed_wrapper.load_state_dict(wrapper.state_dict())
    assert resumed.iteration == 2
    steps(resumed, 2, resumed_wrapper)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_step_asks_the_device_for_nothing(monkeypatch):
    method = sdca(lovasz_weight=0.75)
    wrapper = optimiser(method)
    steps(method, 1, wrapper)
    batch = uda_batch(seed=1)

    def refuse(self, *_):
        raise AssertionError('host round trip in the step')

    for name in ('item', 'tolist', 'cpu', 'numpy', 'nonzero', '__bool__', '__int__', '__float__'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    method.backward_passes(batch, wrapper)


def test_steps_run_in_bfloat16():
    method = sdca(lovasz_weight=0.75)
    wrapper = build_optim_wrapper(
        method, dict(type='AutocastOptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    )
    (logs,) = steps(method, 1, wrapper)
    assert all(value.isfinite() for value in logs.values())
    assert all(c.mean.dtype == torch.float32 for c in method.distributions.levels.values())


def run(rank: int, world_size: int, results: dict) -> None:
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT='29531')
        dist.init_process_group('gloo', rank=rank, world_size=world_size)
    with DefaultScope.overwrite_default_scope('mmseg'):
        method = sdca(norm='GN')
        wrapper = optimiser(method, lr=1e-5)
    losses, gradients = [], []
    for iteration in range(STEPS):
        batch = uda_batch(seed=iteration)
        for domain in (batch.source, batch.target):
            part = slice(rank, rank + 1) if world_size > 1 else slice(None)
            domain.images = domain.images[part]
            domain.labels = None if domain.labels is None else domain.labels[part]
        logs = method.backward_passes(batch, wrapper)
        average_gradients(method)
        gradients.append({n: p.grad.clone() for n, p in method.student.named_parameters()})
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
        values = torch.stack(list(logs.values()))
        if world_size > 1:
            dist.all_reduce(values)
        losses.append(dict(zip(logs, (values / world_size).tolist(), strict=True)))
    state = {name: value.clone() for name, value in method.distributions.state_dict().items()}
    results[world_size, rank] = dict(losses=losses, gradients=gradients, statistics=state)
    if world_size > 1:
        dist.destroy_process_group()


def test_two_ranks_equal_one_rank_with_the_whole_batch():
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(run, (2, results), nprocs=2)
        mp.spawn(run, (1, results), nprocs=1)
        one, two, other = results[1, 0], results[2, 0], results[2, 1]
    for alone, together in zip(one['losses'], two['losses'], strict=True):
        for name, value in alone.items():
            assert abs(value - together[name]) < 1e-5 * max(1, abs(value)), name
    for alone, together in zip(one['gradients'], two['gradients'], strict=True):
        for name, value in alone.items():
            assert torch.allclose(value, together[name], atol=1e-5), name
    for name, value in one['statistics'].items():
        assert torch.allclose(value, two['statistics'][name], atol=1e-5), name
        assert torch.equal(two['statistics'][name], other['statistics'][name]), name
