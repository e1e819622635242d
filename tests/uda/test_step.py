"""The hooks of add-ons in a step: when they are called, and that the teacher answers once."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.uda.addon import AddOn
from tests.uda.conftest import build, segmentor, sepico, sepico_batch, uda_batch
from tests.uda.steps import optimiser, train_step

PSEUDO_LABELS = 'probabilities', 'reweight', 'mask'
IN_STEP = {
    'SourceOnly': ['source_losses', 'passes'],
    'MinEnt': ['source_losses', 'target_losses', 'passes'],
    'AdvSeg': ['source_losses', 'target_losses', 'passes'],
    'ClassAdversarial': ['source_losses', 'target_losses', 'passes'],
    'SDCA': ['source_losses', 'target_losses', 'passes'],
    'DASAC': ['source_losses', 'target_losses', 'passes'],
    'CategoryRetraining': ['source_losses', 'passes'],
    'CaCo': ['source_losses', 'target_losses', 'passes'],
    'SelfTraining': ['source_losses', *PSEUDO_LABELS, 'before_mixing', 'mixed_losses', 'passes'],
}


@MODELS.register_module()
class Recorder(AddOn):
    """Records its hooks in the order of the calls; sees the student before and after the step."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.weights: list[Tensor] = []

    def source_losses(self, step, supervision):
        self.calls.append('source_losses')
        self.weights.append(self.weight(step))
        return {}

    def weight(self, step) -> Tensor:
        return next(step.student.parameters()).detach().clone()

    def probabilities(self, step, probabilities):
        self.calls.append('probabilities')
        assert step.answer.images is step.batch.target.images
        return probabilities

    def reweight(self, step, pseudo):
        self.calls.append('reweight')
        return pseudo

    def mask(self, step, weight):
        self.calls.append('mask')
        return weight

    def target_losses(self, step, target):
        self.calls.append('target_losses')
        return {'recorder.loss': target.logits.square().mean()}

    def before_mixing(self, step):
        self.calls.append('before_mixing')
        yield from ()

    def mixed_losses(self, step, supervision):
        self.calls.append('mixed_losses')
        return {}

    def passes(self, step):
        self.calls.append('passes')
        yield from ()

    def after_step(self, step):
        self.calls.append('after_step')
        self.weights.append(self.weight(step))


@pytest.mark.parametrize('kind', IN_STEP)
def test_hooks_are_called_in_order(kind):
    method = build(
        dict(type=kind, segmentor=segmentor(), addons=dict(recorder=dict(type='Recorder')))
    )
    logs, recorder = train_step(method, uda_batch(), optimiser(method)), method.addons['recorder']
    assert recorder.calls == [*IN_STEP[kind], 'after_step']
    before, after = recorder.weights
    assert not torch.equal(before, after)
    losses = [value for name, value in logs.items() if 'loss' in name and name != 'loss']
    assert torch.allclose(logs['loss'], sum(losses))
    assert ('recorder.loss' in logs) == ('target_losses' in recorder.calls)


def test_sepico_labels_before_it_learns():
    method = sepico(start_iteration=0, addons=dict(recorder=dict(type='Recorder')))
    train_step(method, sepico_batch(), optimiser(method))
    assert method.addons['recorder'].calls == [
        'probabilities',  # of the whole image, to choose the crop
        *PSEUDO_LABELS,
        *('source_losses', 'target_losses', 'before_mixing', 'mixed_losses', 'passes'),
        'after_step',
    ]


@pytest.mark.parametrize(('crop_size', 'answers'), [((32, 32), 2), ((64, 64), 1)])
def test_the_teacher_answers_once_for_the_same_images(crop_size, answers):
    """A target image that is not larger than the crop is labelled by one pass of the teacher."""
    method, asked = sepico(crop_size=crop_size), []
    answer = method.teacher.answer
    method.teacher.answer = lambda images: asked.append(images) or answer(images)
    batch = sepico_batch() if crop_size == (32, 32) else uda_batch()
    method.backward_passes(method.begin(batch), optimiser(method))
    assert len(asked) == answers


def test_all_reweight_before_all_mask():
    """So the order of add-ons in the config does not matter."""
    addons = {name: dict(type='Recorder') for name in ('first', 'second')}
    method = build(dict(type='SelfTraining', segmentor=segmentor(), addons=addons))
    calls: list[tuple[str, str]] = []
    for name, addon in method.addons.items():
        for hook in ('reweight', 'mask'):
            original = getattr(addon, hook)
            recorded = lambda *args, n=name, h=hook, o=original: calls.append((h, n)) or o(*args)  # noqa: E731
            setattr(addon, hook, recorded)
    method.backward_passes(method.begin(uda_batch()), optimiser(method))
    assert [hook for hook, _ in calls] == ['reweight', 'reweight', 'mask', 'mask']
