import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmseg_uda.errors import UserError
from mmseg_uda.uda.adversarial import SOURCE, TARGET, domain_loss

from .conftest import build, segmentor, uda_batch

MIC = dict(type='MaskedConsistency', block_size=16, alpha=0.9, threshold=0.07)


def advseg(**options):
    return build(dict(type='AdvSeg', segmentor=segmentor(), **options))


def optimiser(method, **more):
    network = dict(type='OptimWrapper', constructor='UDAOptimWrapperConstructor')
    return build_optim_wrapper(
        method,
        dict(
            constructor='JointOptimWrapperConstructor',
            student=dict(network, optimizer=dict(type='AdamW', lr=1e-3)),
            discriminator=dict(network, optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))),
            **more,
        ),
    )


def steps(method, number, wrapper=None):
    wrapper = wrapper or optimiser(method)
    logs = []
    for _ in range(number):
        logs.append(method.backward_passes(uda_batch(seed=method.iteration), wrapper))
        wrapper.step()
        wrapper.zero_grad()
        method.iteration += 1
    return logs


def test_losses_of_a_domain():
    scores = torch.tensor([[[[0.0, 2.0]]]])
    assert domain_loss(scores, SOURCE, 'mse').item() == pytest.approx(2)
    assert domain_loss(scores, TARGET, 'mse').item() == pytest.approx(1)
    certain = torch.tensor([[[[50.0]]]])
    assert domain_loss(certain, TARGET, 'bce') < 1e-6 < 40 < domain_loss(certain, SOURCE, 'bce')


def test_an_unknown_loss_is_refused():
    with pytest.raises(UserError, match="'wgan' must be one of mse, bce"):
        advseg(discriminator_loss='wgan')


@pytest.mark.parametrize('kind', ['mse', 'bce'])
def test_student_and_discriminator_learn_from_their_losses(kind):
    method = advseg(discriminator_loss=kind)
    before = {name: p.clone() for name, p in method.named_parameters()}
    (logs,) = steps(method, 1)
    names = {'decode.loss_seg', 'G_trg.loss.main', 'D_src.loss.main', 'D_trg.loss.main'}
    assert names < logs.keys()
    assert logs['loss'].item() == pytest.approx(sum(logs[name].item() for name in names), rel=1e-5)
    changed = {
        n.split('.')[0] for n, p in method.named_parameters() if not torch.equal(p, before[n])
    }
    assert changed == {'student', 'discriminator'}


def gradients(method, number):
    """Of both networks after the first ``number`` passes of a step."""
    passes = method.passes(uda_batch())
    for _ in range(number):
        method.parse_losses(next(passes))[0].backward()
    found = [[p.grad for p in m.parameters()] for m in (method.student, method.discriminator)]
    next(passes, None)
    return found


def test_each_loss_reaches_the_network_that_it_is_for():
    source, target, both = (gradients(advseg(weight=10.0), number) for number in (1, 2, 3))
    assert all(g is None for g in source[1] + target[1])
    assert any(not torch.equal(a, b) for a, b in zip(source[0], target[0], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(target[0], both[0], strict=True))
    assert all(g is not None for g in both[1])


def test_the_student_fools_and_the_discriminator_tells_apart():
    """A step of each alone lowers what it wants low."""
    method, batch = advseg(weight=1.0), uda_batch()
    method.student.eval()

    def judged(label):
        prediction = method.prediction(
            method.student.training_logits(batch.target.images), batch.target.images
        )
        return method.judge(prediction, label)

    for network, label in ((method.student, SOURCE), (method.discriminator, TARGET)):
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
        loss = judged(label)
        loss.backward()
        optimizer.step()
        method.zero_grad()
        assert judged(label) < loss


def test_the_input_of_the_discriminator_has_its_scale():
    method, images = advseg(scale=0.5), torch.zeros(2, 3, 64, 96)
    prediction = method.prediction(torch.randn(2, 19, 16, 24), images)
    assert prediction.shape == (2, 19, 32, 48)
    assert torch.allclose(prediction.sum(1), torch.ones(2, 32, 48), atol=1e-5)


@pytest.mark.parametrize('parts', [{}, dict(mic=MIC)])
def test_state_dicts_continue_a_run_exactly(parts):
    unbroken, broken = advseg(parts=parts), advseg(parts=parts)
    steps(unbroken, 4)

    wrapper = optimiser(broken)
    steps(broken, 2, wrapper)
    resumed = advseg(parts=parts)
    resumed_wrapper = optimiser(resumed)
    resumed.load_state_dict(broken.state_dict())
    resumed_wrapper.load_state_dict(wrapper.state_dict())
    assert resumed_wrapper.state_dict()['discriminator']['state']
    steps(resumed, 2, resumed_wrapper)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_step_asks_the_device_for_nothing(monkeypatch):
    method = advseg(parts=dict(mic=MIC))
    wrapper = optimiser(method)
    batch = uda_batch()

    def refuse(self, *_):
        raise AssertionError('host round trip in the step')

    for name in ('item', 'tolist', 'cpu', 'numpy', '__bool__', '__int__', '__float__'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    method.backward_passes(batch, wrapper)


def test_steps_run_in_bfloat16():
    method = advseg()
    network = dict(optimizer=dict(type='SGD', lr=0.01))
    wrapper = build_optim_wrapper(
        method,
        dict(
            constructor='JointOptimWrapperConstructor',
            student=dict(network, type='AutocastOptimWrapper'),
            discriminator=dict(network, type='OptimWrapper'),
        ),
    )
    logs = steps(method, 2, wrapper)
    assert all(value.isfinite() for value in logs[1].values())
