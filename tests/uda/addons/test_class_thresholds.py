import torch

from mmseg_uda.uda.components.class_prior import RunningPrior, above_threshold, class_means
from tests.precision import assert_same
from tests.uda.conftest import build, segmentor, uda_batch
from tests.uda.steps import optimiser, train_step

LIMITS = dict(upper=0.95, lower=0.07)  # for the probabilities of random weights


def host(threshold=0.07, **addons):
    network = segmentor(norm='GN')
    addons = dict(thresholds=dict(type='ClassThresholds', **LIMITS)) | addons
    options = dict(segmentor=network, threshold=threshold, addons=addons)
    return build(dict(type='SelfTraining', **options))


def test_labels_that_do_not_exceed_their_threshold_have_weight_0(float64):
    method, batch = host(), uda_batch()
    step = method.begin(batch)
    pseudo = step.label_target()
    probabilities = method.teacher.answer(batch.target.images).probabilities()
    prior = RunningPrior(19)
    prior.update(class_means(probabilities))
    assert_same(method.addons['thresholds'].prior.prior, prior.prior)
    confidence, labels = probabilities.max(1)
    kept = above_threshold(confidence, labels, prior.discount(), **LIMITS)
    assert 0.01 < kept.double().mean() < 0.99
    share = (confidence >= 0.07).double().mean()
    assert_same(pseudo.weight, share * kept)
    assert torch.equal(pseudo.labels, labels)


def test_the_prior_moves_once_a_step_by_the_labels_of_the_method(float64):
    """Not by those of another teacher, here MIC's."""
    mic = dict(type='MaskedConsistency', block_size=16, alpha=0.5, threshold=0.07)
    priors = []
    for method in (host(), host(mic=mic)):
        if 'mic' in method.addons:
            with torch.no_grad():
                for parameter in method.addons['mic'].teacher.parameters():
                    parameter.mul_(1.1)
        wrapper = optimiser(method, lr=0.0)
        for seed in range(2):
            train_step(method, uda_batch(seed=seed), wrapper)
        priors.append(method.addons['thresholds'].prior.prior)
    assert_same(priors[0], priors[1])
