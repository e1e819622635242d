import pytest
import torch

from mmseg_uda.uda.methods.minent import entropy
from tests.precision import assert_same
from tests.uda.conftest import build, multi_level, segmentor, uda_batch
from tests.uda.steps import learn, steps


def advent(network=segmentor, **options):
    return build(dict(type='AdvEnt', segmentor=network(), **options))


def test_the_discriminators_see_normalised_information(float64):
    method, images = advent(scale=0.5), torch.zeros(2, 3, 64, 96)
    logits = torch.randn(2, 19, 16, 24)
    seen = method.prediction(logits, images)
    assert seen.shape == (2, 19, 32, 48)
    resized = torch.nn.functional.interpolate(logits, (32, 48), mode='bilinear')
    assert_same(seen.sum(1), entropy(resized.softmax(1)))


def test_certain_predictions_have_a_finite_gradient():
    logits = torch.zeros(1, 19, 64, 64)
    logits[:, 3] = 200.0
    logits.requires_grad_()
    advent().prediction(logits, torch.zeros(1, 3, 64, 64)).sum().backward()
    assert logits.grad.isfinite().all()


def test_student_and_discriminators_learn():
    weight = dict(main=1e-3, aux=2e-4)
    changed, logs = learn(advent(multi_level, weight=weight))
    assert changed == {'student', 'discriminator'}
    names = {f'{name}.loss.{level}' for name in ('G_trg', 'D_src', 'D_trg') for level in weight}
    names |= {'decode.loss_seg', 'decode.aux.loss_seg'}
    assert {name for name in logs if 'loss' in name} == names | {'loss'}
    assert logs['loss'].item() == pytest.approx(sum(logs[name].item() for name in names), rel=1e-5)


def test_the_loss_is_logistic_unless_given(float64):
    (found,), (given,), (other,) = (
        steps(advent(**options), 1, batches=lambda _: uda_batch())
        for options in ({}, dict(discriminator_loss='bce'), dict(discriminator_loss='mse'))
    )
    assert_same(found, given)
    assert found['G_trg.loss.main'] != other['G_trg.loss.main']
