from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.errors import UserError
from mmseg_uda.uda.addons.cdda import CDDA
from mmseg_uda.uda.components.depth_alignment import (
    reweight_by_class,
    reweight_by_first_row,
    weight_rules,
)
from mmseg_uda.uda.components.depth_guidance import (
    any_pair,
    class_given_depth,
    guidance_loss,
    last_pair,
)
from mmseg_uda.uda.components.depth_similarity import distribution_tables
from tests.precision import assert_same
from tests.uda.conftest import build, segmentor, sepico, uda_batch
from tests.uda.depth_banks import CLASSES, EVERYTHING, ROWS, SIZE, Bank, depths, label_maps
from tests.uda.steps import optimiser
from tests.uda.steps import steps as steps_with

NOTHING = dict(reweight_threshold=2.0, relabel_threshold=2.0)


@pytest.fixture
def bank(monkeypatch):
    bank = Bank()
    monkeypatch.setattr(DepthBank, 'open', lambda path: bank)
    return bank


def batch(seed=0, **options):
    data = uda_batch(SIZE, seed=seed, **options)
    data.target.depth = depths(len(data.target.images), seed=seed)
    return data


def method(options=EVERYTHING, margins=True, **others):
    addons = dict(cdda=dict(type='CDDA', bank='bank', **options))
    if margins:
        addons['margins'] = dict(type='IgnoreMargins', top=4, bottom=8)
    return build(
        dict(type='SelfTraining', segmentor=segmentor(), addons=addons, threshold=0.06, **others)
    )


def steps(model, number, wrapper=None):
    return steps_with(model, number, wrapper, batch)


def addon(**options):
    addon = CDDA('bank', **EVERYTHING | options)
    addon.set_up(SimpleNamespace(num_classes=CLASSES))
    return addon


# What a class's similarity does to its weight


def weights_by_loops(labels, weight, confident, similarity, chosen, first_row):
    """As the published code goes: class after class, image after image."""
    weight = weight.clone()
    for image in range(len(labels)):
        for c in range(CLASSES):
            if not chosen[image, c] or c not in labels[image]:
                continue
            s = float(similarity[image, c].clamp(min=0))
            columns = (labels[image, 0] == c) if first_row else None
            pixels = columns.expand_as(labels[image]) if first_row else labels[image] == c
            if s > 0.75:
                weight[image][pixels & confident[image]] = 1
            else:
                value = 0 if s < 0.1 else (s - 0.1) / 0.65
                weight[image][columns if first_row else pixels] = value
    return weight


@pytest.mark.parametrize('first_row', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_weights_by_class_similarity(float64, first_row, seed):
    rng = torch.Generator().manual_seed(seed)
    labels = label_maps(2, 32, seed, CLASSES)
    labels[0, :4, 8:20] = 255
    weight = torch.full(labels.shape, 0.3)
    confident = torch.rand(labels.shape, generator=rng) > 0.5
    similarity = torch.rand(2, CLASSES, generator=rng)
    similarity[:, ::5] = -1e-8
    chosen = torch.rand(2, CLASSES, generator=rng) > 0.2
    classes = weight_rules(similarity, chosen, 0.75, 0.1)
    found = (reweight_by_first_row if first_row else reweight_by_class)(
        labels, weight, confident, classes
    )
    expected = weights_by_loops(labels, weight, confident, similarity, chosen, first_row)
    assert_same(found, expected)


# Which classes are missing, and the guidance


def test_class_given_depth_sums_to_one_where_there_are_pixels():
    rows = distribution_tables(label_maps(2), depths(2), CLASSES)
    probability = class_given_depth(rows)
    total, filled = probability.sum(1), rows.sum(1) > 0
    torch.testing.assert_close(total[filled], torch.ones(int(filled.sum())), atol=2e-5, rtol=0)
    assert not total[~filled].any() and probability.max() <= 0.99999


@pytest.mark.parametrize('seed', range(5))
def test_the_last_pair_decides_as_published(seed):
    rng = torch.Generator().manual_seed(seed)
    candidates = torch.rand(2, CLASSES, generator=rng) > 0.8
    pairs = candidates & (torch.rand(2, CLASSES, generator=rng) > 0.5)
    switch = False
    for image, c in candidates.nonzero().tolist():
        switch = bool(pairs[image, c])
    assert last_pair(candidates, pairs) == switch
    assert any_pair(candidates, pairs) == pairs.any()
    assert last_pair(torch.zeros_like(candidates), torch.zeros_like(pairs)) == 0


def test_guidance_is_cross_entropy_with_soft_labels(float64):
    labels, depth = label_maps(2, 300)[:, :, :48], depths(2, 300)[:, :, :48]
    labels[1, 100:120] = 255
    rows = distribution_tables(label_maps(2, 300, 7, CLASSES), depths(2, 300), CLASSES)
    soft = class_given_depth(rows)
    soft[:, :6] = 0  # classes of the pseudo-labels are not missing
    weight = torch.rand(labels.shape)
    logits = torch.randn(2, CLASSES, *labels.shape[1:], requires_grad=True)

    target = F.one_hot(labels.clamp(max=CLASSES), CLASSES + 1)[..., :CLASSES].double()
    for image in range(2):
        extra = soft[image].T[depth[image].long()]
        target[image] = target[image] * (1 - extra.sum(-1, keepdim=True)) + extra
    dense = -(target.movedim(-1, 1) * logits.log_softmax(1)).sum(1) * weight
    (expected,) = torch.autograd.grad(dense.mean(), logits)

    loss = guidance_loss(logits, labels, depth, soft, weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_same(loss, dense.mean())
    assert_same(gradient, expected)


# The thresholds over time


@pytest.mark.parametrize(
    ('begin', 'end', 'interval'), [(10000, 40000, 1000), (10250, 39750, 1000), (0, 3001, 500)]
)
def test_thresholds_fall_as_if_lowered_at_each_multiple_of_the_interval(bank, begin, end, interval):
    options = dict(reweight_threshold=0.56, relabel_threshold=0.54, threshold_decay=0.003)
    decay = dict(decay_begin=begin, decay_end=end, decay_interval=interval)
    found, level = addon(**options, **decay), 0.56
    for iteration in range(0, 45000, 250):
        if begin <= iteration < end and iteration % interval == 0:
            level -= 0.003
        assert found.thresholds(iteration) == pytest.approx((level, level - 0.02))


# The add-on in a step


def test_below_the_thresholds_a_step_is_the_hosts(bank):
    host = build(
        dict(
            type='SelfTraining',
            segmentor=segmentor(),
            threshold=0.06,
            addons=dict(margins=dict(type='IgnoreMargins', top=4, bottom=8)),
        )
    )
    ours = method(NOTHING)
    assert [*steps(ours, 2)[1].items()] == [*steps(host, 2)[1].items()]
    assert ours.state_dict().keys() == host.state_dict().keys()
    for name, value in host.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_above_the_thresholds_the_crop_is_pasted_and_the_target_guided(float64, bank):
    ours = method()
    ours.keep_pictures = True
    (logs,) = steps(ours, 1)
    assert logs['tgt.loss'] > 0
    step = ours.pictures
    rows = step.addons[0].replacements.tolist()
    for image, row in enumerate(rows):
        rgb, labels = bank.crop(row)
        assert torch.equal(step.pasted.labels[image], labels.long())
        expected = (rgb - step.mean) / step.std
        assert_same(step.pasted.images[image], expected)
    assert step.pasted is not step.batch.source
    assert set(step.mixed.labels.unique().tolist()) - set(step.pseudo.labels.unique().tolist())
    assert (step.pseudo.weight[:, :4] == 0).all() and (step.pseudo.weight[:, -8:] == 0).all()


def test_the_order_of_addons_does_not_matter(bank):
    addons = dict(
        cdda=dict(type='CDDA', bank='bank', **EVERYTHING),
        margins=dict(type='IgnoreMargins', top=4, bottom=8),
    )
    logs, weights = [], []
    for order in (addons, dict(reversed(addons.items()))):
        ours = build(dict(type='SelfTraining', segmentor=segmentor(), threshold=0.06, addons=order))
        ours.keep_pictures = True
        logs += steps(ours, 1)
        weights.append(ours.pictures.pseudo.weight)
    assert logs[0] == logs[1] and torch.equal(*weights)


def test_only_similar_images_are_changed(bank):
    ours = addon(reweight_threshold=0.5, relabel_threshold=2.0)
    labels = torch.stack([bank.labels[3].long(), torch.full((SIZE, SIZE), 255)])
    data = batch()
    data.target.depth = torch.stack([depths(ROWS)[3], depths(2)[1]])
    found = reweighted(ours, data, labels)
    assert ours.replacements.tolist() == [3, -1]
    assert ours.guidance.due == 0
    assert torch.equal(found.weight[1], torch.full((SIZE, SIZE), 0.4))
    assert (found.weight[0] == 1).all()  # all are confident, the crop is its own best match


def test_skipped_classes_keep_their_weight(bank):
    data = batch()
    data.target.depth = depths(ROWS)[:2]
    labels = bank.labels[:2].long()
    weight = reweighted(addon(skip_classes=(3, 5)), data, labels).weight
    skipped = (labels == 3) | (labels == 5)
    assert (weight[skipped] == 0.4).all() and (weight[~skipped] == 1).all()


def reweighted(addon, data, labels, confidence=1.0):
    from mmseg_uda.uda.components.pseudo_labels import PseudoLabels

    step = SimpleNamespace(
        batch=data, iteration=0, addons=(addon,), teacher=SimpleNamespace(threshold=0.9)
    )
    maps = (torch.full(labels.shape, value) for value in (0.4, confidence))
    return addon.reweight(step, PseudoLabels(labels, *maps))


def guided(options, labels=None):
    """The guidance loss of one step with these options, its weights made visible."""
    ours, seen = method(EVERYTHING | options), []
    import mmseg_uda.uda.addons.cdda as module

    original = module.guidance_loss
    module.guidance_loss = lambda *args: seen.append(args) or original(*args)
    try:
        steps(ours, 1)
    finally:
        module.guidance_loss = original
    return seen[0]


def test_guidance_weighs_a_share_of_the_uniform_weight_margins_included(float64, bank):
    *_, weight = guided({})
    assert weight.unique().numel() == 1 and 0 < weight.max() <= 0.1
    *_, twice = guided(dict(guidance_weight=0.2))
    assert_same(twice, 2 * weight)


def test_it_joins_sepico_whose_crop_takes_the_depth_along(bank):
    ours = sepico(
        crop_size=(SIZE, SIZE),
        start_iteration=0,
        threshold=0.06,
        addons=dict(cdda=dict(type='CDDA', bank='bank', **EVERYTHING)),
    )
    data = batch()
    large = uda_batch(2 * SIZE).target.images
    data.target.images, data.target.depth = large, large[:, 0].abs().mul(50).clamp(max=255)
    ours.keep_pictures = True
    logs = ours.backward_passes(ours.begin(data), optimiser(ours))
    assert logs['tgt.loss'].isfinite() and logs['mix.decode.loss_seg'] > 0
    target = ours.pictures.batch.target
    assert torch.equal(target.depth, target.images[:, 0].abs().mul(50).clamp(max=255))


def test_it_joins_masked_consistency(bank):
    addons = dict(
        cdda=dict(type='CDDA', bank='bank', **EVERYTHING),
        mic=dict(type='MaskedConsistency', block_size=16),
    )
    ours = build(dict(type='SelfTraining', segmentor=segmentor(), threshold=0.06, addons=addons))
    logs = ours.backward_passes(ours.begin(batch()), optimiser(ours))
    assert {'tgt.loss', 'masked.decode.loss_seg'} < logs.keys()


# Setup errors stop the run


def test_a_bank_of_another_number_of_classes_is_refused(bank):
    bank.num_classes = 16
    with pytest.raises(UserError, match='16 classes'):
        method()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda data: setattr(data.target, 'depth', None), 'set depth_dir'),
        (lambda data: setattr(data.target, 'images', data.target.images[..., :32]), r'\(64, 64\)'),
    ],
)
def test_a_batch_that_does_not_fit_stops_the_run(bank, change, message):
    ours, data = method(), batch()
    change(data)
    with pytest.raises(UserError, match=message):
        ours.backward_passes(ours.begin(data), optimiser(ours))


def test_the_first_row_needs_square_crops(bank):
    bank.crop_size = (SIZE, 32)
    ours, data = method(EVERYTHING | dict(as_published=True)), batch()
    for name in ('images', 'depth'):
        setattr(data.target, name, getattr(data.target, name)[..., :32])
    with pytest.raises(UserError, match='square'):
        ours.backward_passes(ours.begin(data), optimiser(ours))
