import pytest
import torch

from mmseg_uda.compat.checkpoints import with_current_names
from mmseg_uda.errors import UserError
from mmseg_uda.uda.methods.advseg import SOURCE, TARGET, domain_loss
from tests.precision import assert_same
from tests.uda.conftest import MIC, build, hrda, multi_level, segmentor, uda_batch
from tests.uda.steps import (
    learn,
    steps,
)


def advseg(**options):
    return build(dict(type='AdvSeg', segmentor=segmentor(), **options))


def test_losses_of_a_domain(float64):
    scores = torch.tensor([[[[0.0, 2.0]]]])
    assert_same(domain_loss(scores, SOURCE, 'mse').item(), 2.0)
    assert_same(domain_loss(scores, TARGET, 'mse').item(), 1.0)
    certain = torch.tensor([[[[50.0]]]])
    assert domain_loss(certain, TARGET, 'bce') < 1e-6 < 40 < domain_loss(certain, SOURCE, 'bce')


def test_an_unknown_loss_is_refused():
    with pytest.raises(UserError, match="'wgan' must be one of mse, bce"):
        advseg(discriminator_loss='wgan')


@pytest.mark.parametrize('kind', ['mse', 'bce'])
def test_student_and_discriminator_learn_from_their_losses(kind):
    changed, logs = learn(advseg(discriminator_loss=kind))
    assert changed == {'student', 'discriminator'}
    names = {'decode.loss_seg', 'G_trg.loss.main', 'D_src.loss.main', 'D_trg.loss.main'}
    assert names < logs.keys()
    assert logs['loss'].item() == pytest.approx(sum(logs[name].item() for name in names), rel=1e-5)


def gradients(method, number):
    """Of both networks after the first ``number`` passes of a step."""
    passes = method.passes(method.begin(uda_batch()))
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
            method.student.train_pass(batch.target.images).logits, batch.target.images
        )
        return method.judge('main', prediction, label)

    for network, label in ((method.student, SOURCE), (method.discriminator, TARGET)):
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
        loss = judged(label)
        loss.backward()
        optimizer.step()
        method.zero_grad()
        assert judged(label) < loss


def test_the_input_of_the_discriminator_has_its_scale(float64):
    method, images = advseg(scale=0.5), torch.zeros(2, 3, 64, 96)
    prediction = method.prediction(torch.randn(2, 19, 16, 24), images)
    assert prediction.shape == (2, 19, 32, 48)
    assert_same(prediction.sum(1), torch.ones(2, 32, 48))


def test_the_discriminator_sees_hrdas_fused_prediction_at_half_size():
    method = build(dict(type='AdvSeg', segmentor=hrda(), scale=0.5, addons=dict(mic=MIC)))
    sizes = []
    judge = method.discriminator['main']
    judge.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape))
    (logs,) = steps(method, 1)
    assert sizes == [(2, 19, 32, 32)] * 3
    assert {'decode.hr.loss_seg', 'masked.decode.hr.loss_seg'} < logs.keys()
    assert all(p.grad is None for p in method.addons['mic'].parameters())
    assert all(value.isfinite() for value in logs.values())


LEVELS = dict(main=0.5, aux=0.25)


def test_levels_have_their_own_weights_and_discriminators(float64):
    method = build(dict(type='AdvSeg', segmentor=multi_level(), weight=LEVELS))
    assert list(method.discriminator) == ['main', 'aux']
    batch = uda_batch()
    with torch.no_grad():
        levels = {
            name: {level: method.prediction(logits, images) for level, logits in found.items()}
            for name, images in (('src', batch.source.images), ('trg', batch.target.images))
            for found in [method.student.train_pass(images).levels]
        }
        expected = {
            f'G_trg.loss.{level}': weight * method.judge(level, levels['trg'][level], SOURCE)
            for level, weight in LEVELS.items()
        }
        for name, domain in (('src', SOURCE), ('trg', TARGET)):
            for level, seen in levels[name].items():
                expected[f'D_{name}.loss.{level}'] = 0.5 * method.judge(level, seen, domain)
    (logs,) = steps(method, 1)
    assert_same({name: logs[name] for name in expected}, expected)
    assert {'decode.loss_seg', 'decode.aux.loss_seg'} < logs.keys()


def test_a_number_is_the_weight_of_the_last_level():
    method = build(dict(type='AdvSeg', segmentor=multi_level(), weight=0.5))
    assert method.weights == dict(main=0.5) and list(method.discriminator) == ['main']


def test_the_weight_of_the_discriminators_loss(float64):
    (one,), (half,) = (steps(advseg(discriminator_weight=w), 1) for w in (1.0, 0.5))
    for name in ('D_src.loss.main', 'D_trg.loss.main'):
        assert_same(one[name], 2 * half[name])


@pytest.mark.parametrize('weight', [dict(aux=1.0), {}])
@pytest.mark.parametrize('kind', ['AdvSeg', 'AdvEnt', 'MinEnt'])
def test_levels_that_the_network_lacks_are_named(kind, weight):
    message = f'{kind}: the levels of weight are (aux|none), but .* the network are main'
    with pytest.raises(UserError, match=message):
        build(dict(type=kind, segmentor=segmentor(), weight=weight))


def test_a_checkpoint_with_a_single_discriminator_is_read():
    """Checkpoints of earlier versions; FADA's discriminator keeps its names."""
    for kind in ('AdvSeg', 'ClassAdversarial'):
        state = build(dict(type=kind, segmentor=segmentor())).state_dict()
        old = {
            name.replace('discriminator.main.', 'discriminator.'): v for name, v in state.items()
        }
        assert list(with_current_names(dict(state_dict=old))['state_dict']) == list(state)
        assert (old.keys() == state.keys()) == (kind == 'ClassAdversarial')
