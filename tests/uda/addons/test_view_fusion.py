from dataclasses import replace
from types import SimpleNamespace

import torch

from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components.class_balanced_crop import crop_domain
from mmseg_uda.uda.components.view_fusion import normalise
from mmseg_uda.uda.components.warp import warp
from tests.precision import assert_same
from tests.uda.conftest import VIEWS, build, segmentor, sepico, sepico_batch, uda_batch
from tests.uda.steps import optimiser


def host(**options):
    addons = dict(fusion=dict(type='ViewFusion'))
    options = dict(segmentor=segmentor(norm='GN'), threshold=None, addons=addons) | options
    return build(dict(type='SelfTraining', **options))


def flip_views(batch):
    """Let all views be flipped copies of the images."""
    target = batch.target
    view = replace(
        target.views['clean'],
        images=target.images.flip(3).unsqueeze(1),
        geometry=VIEWS[:1].expand(len(target.images), -1, -1, -1),
    )
    return replace(batch, target=replace(target, views=dict(clean=view)))


def test_a_flipped_view_counts_as_much_as_the_image(float64):
    method, batch = host(), flip_views(uda_batch())
    step = method.begin(batch)
    images = batch.target.images
    own = method.teacher.answer(images).probabilities()
    flipped = method.teacher.answer(images.flip(3)).probabilities().flip(3)
    assert not torch.allclose(own, flipped)
    assert_same(step.probabilities(), (own + flipped) / 2)


def test_zoomed_views_count_where_they_cover_the_image(float64):
    method, batch = host(), uda_batch()
    step, views = method.begin(batch), batch.target.views['clean']
    own = method.teacher.answer(batch.target.images).probabilities()
    for image in range(2):
        seen = method.teacher.answer(views.images[image]).probabilities()
        mean = normalise(own[image] + warp(seen, views.geometry[image]).sum(0))
        assert_same(step.probabilities()[image], mean)
    assert_same(step.probabilities().sum(1), torch.ones(2, 64, 64))


def test_the_fusion_of_a_crop_is_the_crop_of_the_views(float64):
    """SePiCo labels a crop of the target images."""
    method, batch = host(), uda_batch()
    views = batch.target.views['clean']
    views.geometry = views.geometry.double()
    corners, size = torch.tensor([[0, 7], [16, 32]]), (32, 32)
    crop = crop_domain(batch.target, corners, size)
    own = torch.rand(2, 19, *size)
    step = method.begin(replace(batch, target=crop))
    fused = method.addons['fusion'].probabilities(step, own)
    for image, (y, x) in enumerate(corners.tolist()):
        seen = method.teacher.answer(views.images[image]).probabilities()
        placed = warp(seen, views.geometry[image]).sum(0)[:, y : y + 32, x : x + 32]
        assert_same(fused[image], normalise(own[image] + placed))


def test_the_teacher_sees_each_view_once():
    """Also where target images are labelled twice: to choose SePiCo's crop, and then the crop."""
    method = sepico(crop_size=(32, 32), addons=dict(fusion=dict(type='ViewFusion')))
    batch, asked, answer = sepico_batch(), [], method.teacher.answer
    method.teacher.answer = lambda images: asked.append(tuple(images.shape)) or answer(images)
    method.backward_passes(method.begin(batch), optimiser(method))
    assert asked == [(2, 3, 64, 64), (6, 3, 64, 64), (2, 3, 32, 32)]


def test_target_samples_need_clean_views():
    method = host()
    dataset = SimpleNamespace(block=(1, 1))
    data = TrainingData(dataset, 19, (64, 64), (64, 64), dict(target={}))
    (problem,) = method.problems(data)
    assert problem.startswith("ViewFusion needs the views 'clean' of target images")
