import gc
import weakref
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.methods import dasac as module
from tests.golden.networks_dasac import dasac_config
from tests.precision import assert_same
from tests.uda.conftest import VIEWS, build, segmentor, uda_batch
from tests.uda.steps import learn, optimiser, steps, train_step

OPTIONS = dict(lower=0.07, upper=0.95)  # for the probabilities of random weights


def method_with(norm='BN', **options):
    return build(dict(type='DASAC', segmentor=segmentor(norm=norm), **OPTIONS | options))


def test_a_step_logs_each_loss_and_their_sum():
    (logs,) = steps(method_with(), 1)
    losses = [logs[name].item() for name in ('decode.loss_seg', 'tgt.decode.loss_seg')]
    assert all(losses) and logs['loss'].item() == pytest.approx(sum(losses), rel=1e-6)


def test_only_the_student_learns():
    changed, _ = learn(method_with())
    assert changed == {'student'}  # the teacher is a copy already


@pytest.mark.parametrize('confidence', ['batch', 'pixel'])
def test_the_gradients_are_those_of_the_plain_formula(float64, confidence):
    method, batch = method_with('GN', confidence=confidence, target_weight=3.0), uda_batch()
    method.prior.prior.fill_(0.3)
    method.prior.seen.fill_(True)
    views = batch.target.views
    seen = record_fusion(method, batch)
    gradients = {n: p.grad.clone() for n, p in method.student.named_parameters()}
    method.zero_grad()

    chi = 0.99 * 0.3 + 0.01 * seen.means
    confident, labels = seen.fused.max(1)
    student = method.student
    logits = student.encode_decode(views['noisy'].images.flatten(0, 1))
    losses = nn.functional.cross_entropy(logits, labels, reduction='none')
    for image, image_labels in enumerate(labels):
        for c in image_labels.unique():
            members = image_labels == c
            peak = confident[image][members].max()
            threshold = max(0.07, 0.95 * peak * (1 - torch.exp(-chi[c] / 1e-3)))
            losses[image][members & (confident[image] <= threshold)] = 0
    kept = (losses > 0).double().mean()
    assert 0.01 < kept < 0.99
    weight = (confident if confidence == 'pixel' else confident.mean(0)) * (1 - chi[labels]) ** 3
    source = student.supervise(batch.source.images, batch.source.labels).losses['decode.loss_seg']
    (source + 3 * (weight * losses).mean()).backward()
    for name, parameter in student.named_parameters():
        assert_same(parameter.grad, gradients[name], name)


def record_fusion(method, batch) -> SimpleNamespace:
    """Back-propagate a step; returns the teacher's class means and the fused predictions."""
    probabilities, fused, fuse = [], [], module.fuse_views

    def record(*views):
        probabilities.append(views[0])
        fused.append(fuse(*views))
        return fused[-1]

    with patch.object(module, 'fuse_views', record):
        method.backward_passes(method.begin(batch), optimiser(method))
    return SimpleNamespace(means=torch.cat(probabilities).mean((0, 2, 3)), fused=torch.cat(fused))


def test_the_teacher_sees_clean_views_and_the_student_noisy_ones():
    method, batch, asked, learned = method_with(), uda_batch(), [], []
    answer, supervise = method.teacher.answer, method.student.supervise
    method.teacher.answer = lambda images: asked.append(images) or answer(images)
    method.student.supervise = lambda *given: learned.append(given[0]) or supervise(*given)
    train_step(method, batch, optimiser(method))
    views = {name: view.images.flatten(0, 1) for name, view in batch.target.views.items()}
    assert len(asked) == 1 and torch.equal(asked[0], views['clean'])
    assert torch.equal(learned[0], batch.source.images) and torch.equal(learned[1], views['noisy'])


def test_labels_of_views_are_those_of_the_image_in_their_frame(float64):
    """All views show one fused map: where they do not interpolate, the labels are the same."""
    method, batch = method_with('GN'), uda_batch()
    flips = torch.stack((VIEWS[0] * VIEWS[0], VIEWS[0]))
    for view in batch.target.views.values():
        view.images, view.geometry = view.images[:, :2], flips.expand(2, -1, -1, -1)
    clean, noisy = batch.target.views.values()
    labelled = method.label_views(clean, noisy.images.flatten(0, 1))
    labels = labelled.labels.unflatten(0, (2, 2))
    assert torch.equal(labels[:, 0], labels[:, 1].flip(2))
    assert 0.01 < (labels != 255).double().mean() < 0.99


def test_the_prior_is_used_after_its_update(float64):
    method, weigh, given = method_with('GN'), module.DASAC.weigh, []
    method.weigh = lambda *values: given.append(values) or weigh(method, *values)
    clean, noisy = uda_batch().target.views.values()
    labelled = method.label_views(clean, noisy.images.flatten(0, 1))
    ((_, confidence, labels),) = given
    means = method.teacher.answer(clean.images.flatten(0, 1)).probabilities().mean((0, 2, 3))
    assert_same(method.prior.prior, means)
    expected = method.target_weight * (1 - means[labels]) ** 3 * confidence.mean(0)
    assert_same(labelled.weight, expected)


def test_the_maps_of_the_teacher_are_freed_before_the_student_learns():
    method, maps, fuse = method_with(), [], module.fuse_views

    def record(*views):
        fused = fuse(*views)
        maps.extend(map(weakref.ref, (*views[:1], fused)))
        return fused

    def supervise(images, labels, weight=None):
        gc.collect()
        alive.append(sum(reference() is not None for reference in maps))
        return original(images, labels, weight)

    alive, original = [], method.student.supervise
    method.student.supervise = supervise
    with patch.object(module, 'fuse_views', record):
        train_step(method, uda_batch(), optimiser(method))
    assert len(maps) == 4 and alive == [0, 0]


def test_target_only_does_not_learn_from_the_source():
    both, alone, other = method_with(), method_with(target_only=True), method_with(target_only=True)
    batches = [uda_batch() for _ in range(3)]
    batches[2].source = uda_batch(seed=1).source
    logs = [
        train_step(method, batch, optimiser(method))
        for method, batch in zip((both, alone, other), batches, strict=True)
    ]
    assert 'decode.loss_seg' in logs[0] and 'decode.loss_seg' not in logs[1]
    assert logs[0]['tgt.decode.loss_seg'] == logs[1]['tgt.decode.loss_seg']
    state = other.state_dict()
    for name, value in alone.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize('epoch_length', [1125, 1175])
def test_the_teacher_moves_twelve_times_an_epoch(epoch_length):
    teacher = method_with(epoch_length=epoch_length).teacher
    due = [i for i in range(2 * epoch_length + 1) if teacher.is_due(i)]
    epoch = list(range(0, epoch_length, 100))
    assert len(epoch) == 12
    assert due == [*epoch, *(epoch_length + i for i in epoch), 2 * epoch_length]


def test_the_teacher_starts_as_a_copy_of_the_loaded_student():
    method = method_with()
    for value in method.student.state_dict().values():
        value.add_(3)
    method.student_loaded()
    method.begin(uda_batch())
    teacher = method.teacher.network.state_dict()
    for name, value in method.student.state_dict().items():
        assert torch.equal(value, teacher[name]), name
    assert any(name.endswith('num_batches_tracked') for name in teacher)


def test_batch_norm_is_frozen_and_dropout_is_active_in_the_student_alone():
    network = dasac_config('fcn_vgg16_bn', num_classes=19)
    network['backbone']['norm_eval'] = network['decode_head']['norm_eval'] = True
    network['decode_head']['dropout_ratio'] = 0.1
    with torch.device('meta'):
        method = MODELS.build(dict(type='DASAC', segmentor=network)).train()
    training = {
        (name, kind.__name__): {m.training for m in network.modules() if isinstance(m, kind)}
        for name, network in (('student', method.student), ('teacher', method.teacher.network))
        for kind in (nn.Dropout2d, _BatchNorm)
    }
    assert training == {
        ('student', 'Dropout2d'): {True},
        ('student', '_BatchNorm'): {False},
        ('teacher', 'Dropout2d'): {False},
        ('teacher', '_BatchNorm'): {False},
    }


def problems(method, **views):
    sample = dict(source={}, target=dict(views=views))
    return list(method.problems(TrainingData(None, 19, (64, 64), (64, 64), sample)))


def test_target_samples_need_both_views_with_one_geometry():
    method, view = method_with(), dict(geometry=VIEWS)
    assert not problems(method, clean=view, noisy=view)
    (missing,) = problems(method, clean=view)
    assert missing.startswith("DASAC needs the views 'noisy' of target images: add a transform")
    (different,) = problems(method, clean=view, noisy=dict(geometry=VIEWS.flip(0)))
    assert different.startswith("DASAC needs the same geometry of the views 'clean' and 'noisy'")


def test_addons_that_need_pseudo_labels_of_images_are_refused():
    method = method_with(addons=dict(margins=dict(type='IgnoreMargins', top=1, bottom=1)))
    (problem,) = problems(method, clean=dict(geometry=VIEWS), noisy=dict(geometry=VIEWS))
    assert 'model.addons.margins (IgnoreMargins) has no effect in DASAC' in problem


def test_an_unknown_confidence_is_refused():
    with pytest.raises(UserError, match="DASAC.confidence is 'mean', it must be 'batch' or"):
        method_with(confidence='mean')
