from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.uda.addon import TrainingData
from tests.precision import assert_same
from tests.uda.conftest import VIEWS, build, multi_level, segmentor, uda_batch
from tests.uda.methods.test_caco import naive_contrast, naive_keys, resized
from tests.uda.steps import sgd, steps, train_step

WEIGHTS = dict(decode=1.0, aux=0.1)


def retraining(norm='GN', network=multi_level, **options):
    config = network(norm=norm) | dict(average='all')
    balance = dict(min_pixels=200)  # of 4096
    return build(dict(type='CategoryRetraining', segmentor=config, balance=balance, **options))


def naive_weights(labels):
    """Of the classes in the first step."""
    counts = torch.tensor([(labels == train_id).sum() for train_id in range(19)])
    rare = torch.where(counts < 200 * len(labels), 7.0, 1.0)
    return rare * torch.where(counts == 0, 0.9 + 0.1 * 7, 1.0)


@pytest.mark.parametrize('key_labels', ['augmented', 'plain'])
def test_a_step_is_that_of_the_paper(key_labels, float64):
    method, batch = retraining(key_labels=key_labels), uda_batch(size=128)
    with torch.no_grad():
        for parameter in method.teacher.parameters():
            parameter.mul_(1.05)
    step = method.begin(batch)
    (found,) = method.passes(step)

    source, plain = batch.source, batch.source.views['plain']
    output = method.student.whole_pass(source.images)
    weights = naive_weights(source.labels)
    assert 1 < len(weights.unique())
    entries = dict(decode=output.levels['main'], aux=output.levels['aux'])
    for (name, logits), entry in zip(entries.items(), ('decode', 'decode.aux'), strict=True):
        loss = F.cross_entropy(
            resized(logits, (128, 128)),
            source.labels,
            weights,
            ignore_index=255,
            reduction='none',
        )
        assert_same(found[f'{entry}.loss_seg'], WEIGHTS[name] * loss.mean())
    cell = 128 // output.features[-1].shape[2]
    labels = source.labels[:, ::cell, ::cell]
    of_keys = labels if key_labels == 'augmented' else plain.labels[:, 0, ::cell, ::cell]
    assert labels.equal(of_keys) == (key_labels == 'augmented')
    with torch.no_grad():
        maps = method.teacher.network.features(plain.images[:, 0])[-1]
        one_hot = F.one_hot(of_keys.clamp(max=19), 20)[..., :19].permute(0, 3, 1, 2)
        keys = list(naive_keys(maps, of_keys, one_hot.to(maps)))
    contrast = 0.1 * naive_contrast(output.features[-1], labels, keys)
    assert_same(found['caco.loss_contrast'], contrast)
    first = next(method.student.backbone.parameters())
    gradients = [
        torch.autograd.grad(loss, first, retain_graph=True)[0]
        for loss in (found['caco.loss_contrast'], contrast)
    ]
    assert gradients[0].any()
    assert_same(*gradients)
    assert int(found['caco.keys']) == len(keys)


@pytest.mark.parametrize('target_pass', [True, False])
def test_target_images_move_running_statistics_alone(target_pass):
    methods, batch = [], uda_batch()
    for _ in range(2):
        method = retraining('BN', segmentor, target_pass=target_pass)
        train_step(method, batch, sgd(method))
        methods.append(method)
        batch = replace(batch, target=uda_batch(seed=5).target)
    first, second = (dict(method.student.named_buffers()) for method in methods)
    moved = [not v.equal(second[name]) for name, v in first.items() if 'running' in name]
    assert moved and all(moved) if target_pass else not any(moved)
    for found, expected in zip(*(m.student.parameters() for m in methods), strict=True):
        assert torch.equal(found, expected)


def test_unlabelled_target_images_are_not_needed_without_their_pass():
    method = retraining(target_pass=False)
    (logs,) = steps(method, 1, batches=lambda seed: replace(uda_batch(), target=None))
    assert logs['caco.loss_contrast'] > 0


def problems(method, target_size, views):
    sample = dict(source=dict(views=views))
    return list(method.problems(TrainingData(None, 19, (64, 64), target_size, sample)))


def test_missing_data_are_reported():
    views = dict(plain=dict(geometry=VIEWS[:1]))
    assert not problems(retraining(), (64, 64), views)
    assert not problems(retraining(target_pass=False), None, views)
    (problem,) = problems(retraining(), (64, 64), {})
    assert "needs the views 'plain' of source images: add a transform that makes them" in problem
    assert 'train_dataloader.dataset.source.pipeline' in problem
    (problem,) = problems(retraining(), None, views)
    assert 'CategoryRetraining.target_pass needs target images' in problem


def test_unknown_key_labels_are_refused():
    with pytest.raises(UserError, match="key_labels is 'none', it must be one of augmented, plain"):
        retraining(key_labels='none')
