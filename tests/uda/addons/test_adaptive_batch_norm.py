import torch
from torch import nn

from mmseg_uda.uda.addon import TrainingData
from tests.precision import assert_same
from tests.uda.conftest import build, segmentor, uda_batch
from tests.uda.steps import optimiser, train_step

ABN = dict(abn=dict(type='AdaptiveBatchNorm'))


def host(norm='BN', kind='SourceOnly', **options):
    return build(dict(type=kind, segmentor=segmentor(norm=norm), addons=ABN, **options))


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_the_statistics_follow_the_source_then_the_target(float64):
    method, batch = host(), uda_batch()
    seen: dict[nn.Module, list[torch.Tensor]] = {norm: [] for norm in norms(method.student)}
    for norm in seen:
        norm.register_forward_pre_hook(lambda norm, args: seen[norm].append(args[0].detach()))
    train_step(method, batch, optimiser(method))
    for norm, inputs in seen.items():
        assert len(inputs) == 2
        source, target = (values.mean((0, 2, 3)) for values in inputs)
        assert_same(norm.running_mean, 0.9 * 0.1 * source + 0.1 * target)


def test_the_target_pass_comes_after_the_step_and_leaves_no_gradient():
    method, batch = host(), uda_batch()
    forward, weights = method.student.train_pass, []
    first = next(method.student.parameters())
    before = first.detach().clone()

    def record(images):
        assert torch.equal(images, batch.target.images)
        weights.append(first.detach().clone())
        output = forward(images)
        assert not output.logits.requires_grad
        return output

    method.student.train_pass = record
    train_step(method, batch, optimiser(method))
    assert len(weights) == 1 and not torch.equal(weights[0], before)
    assert torch.equal(weights[0], first) and first.grad is None


def test_the_losses_of_the_step_are_those_without_it():
    """The running statistics have no part in training."""
    plain = build(dict(type='SourceOnly', segmentor=segmentor()))
    logs = [
        [train_step(method, uda_batch(), wrapper) for _ in range(2)]
        for method in (host(), plain)
        for wrapper in [optimiser(method)]
    ]
    assert logs[0] == logs[1]


def problems(method, target_size=(64, 64)):
    return list(method.problems(TrainingData(None, 19, (64, 64), target_size, {})))


def test_it_needs_target_images_and_a_batch_norm_that_is_trained():
    assert not problems(host())
    (no_target,) = problems(host(), target_size=None)
    assert no_target.startswith('AdaptiveBatchNorm needs target images')
    (no_effect,) = problems(host(norm='GN'))
    assert no_effect.startswith('AdaptiveBatchNorm has no effect, because model.segmentor has no')


def test_frozen_batch_norms_are_not_trained():
    network = dict(
        type='Segmentor',
        backbone=dict(type='DilatedVGG16BN', norm_eval=True),
        decode_head=dict(
            type='DLV2Head', in_channels=1024, in_index=0, dilations=(1,), num_classes=19
        ),
    )
    for frozen in (True, False):
        network['backbone']['norm_eval'] = frozen
        with torch.device('meta'):
            method = build(dict(type='SourceOnly', segmentor=network, addons=ABN))
        assert any('has no effect' in problem for problem in problems(method)) == frozen
