import pytest
import torch

from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.methods.minent import entropy
from tests.precision import assert_same
from tests.uda.conftest import MIC, build, multi_level, segmentor, uda_batch
from tests.uda.steps import optimiser, steps


def test_entropy_is_1_for_no_idea_and_0_for_certainty():
    no_idea = torch.full((1, 4, 1, 1), 0.25)
    certain = torch.tensor([1.0, 0, 0, 0]).view(1, 4, 1, 1)
    half = torch.tensor([0.5, 0.5, 0, 0]).view(1, 4, 1, 1)
    values = [entropy(p).item() for p in (no_idea, certain, half)]
    assert values == pytest.approx([1, 0, 0.5], abs=1e-6)


def test_certain_predictions_have_a_finite_gradient():
    logits = torch.tensor([200.0, 0, 0]).view(1, 3, 1, 1).requires_grad_()
    entropy(logits.softmax(1)).mean().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize('weight', [0.0, 5.0])
def test_the_step_makes_the_target_certain(weight):
    method = build(dict(type='MinEnt', segmentor=segmentor(), weight=weight))
    images = uda_batch().target.images

    def uncertainty():
        with torch.no_grad():
            return entropy(method.student.encode_decode(images).softmax(1)).mean().item()

    method.student.eval()
    before = uncertainty()
    method.passes = lambda step: iter([method.minimise_entropy(step)])
    steps(method, 1, optimiser(method, lr=1e-4))
    assert uncertainty() < before if weight else uncertainty() == pytest.approx(before, abs=1e-6)


def test_losses_of_masked_images_are_logged_and_summed():
    method = build(dict(type='MinEnt', segmentor=segmentor(), addons=dict(mic=MIC)))
    (logs,) = steps(method, 1)
    losses = [value for name, value in logs.items() if 'loss' in name and name != 'loss']
    assert {'decode.loss_seg', 'ent.loss.main', 'masked.decode.loss_seg'} < logs.keys()
    assert logs['loss'].item() == pytest.approx(sum(losses).item(), rel=1e-6)


def test_levels_have_their_own_weights(float64):
    weights = dict(main=0.5, aux=0.25)
    method = build(dict(type='MinEnt', segmentor=multi_level(), weight=weights))
    images = uda_batch().target.images
    with torch.no_grad():
        levels = method.student.train_pass(images).levels
        expected = {
            f'ent.loss.{level}': weight
            * entropy(upscale(levels[level], (64, 64)).softmax(1)).mean()
            for level, weight in weights.items()
        }
    (logs,) = steps(method, 1)
    assert_same({name: logs[name] for name in expected}, expected)
