import torch

from mmseg_uda.uda.components.class_prior import (
    RunningPrior,
    above_threshold,
    class_means,
    class_peaks,
    class_thresholds,
)
from tests.precision import assert_same


def test_the_first_update_starts_from_the_means(float64):
    prior = RunningPrior(3, momentum=0.9, beta=1e-3)
    assert_same(prior.prior, torch.full((3,), 1e-3))
    prior.update(torch.tensor([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0]]))
    assert_same(prior.prior, torch.tensor([0.4, 0.6, 0.9e-3]))


def test_later_updates_average_all_classes_also_those_that_were_absent(float64):
    prior = RunningPrior(3, momentum=0.9, beta=1e-3)
    prior.update(torch.tensor([[0.4, 0.6, 0.0]]))
    prior.update(torch.tensor([[0.5, 0.0, 0.5]]))
    assert_same(prior.prior, torch.tensor([0.41, 0.54, 0.9 * 0.9e-3 + 0.05]))


def test_an_initial_prior_that_equals_beta_is_not_replaced_later(float64):
    """Unlike where a class counts as new because its prior equals beta."""
    prior = RunningPrior(2, momentum=0.5, beta=0.25)
    prior.update(torch.tensor([[0.25, 0.75]]))
    prior.update(torch.tensor([[0.75, 0.25]]))
    assert_same(prior.prior, torch.tensor([0.5, 0.5]))


def test_means_are_those_of_each_image(float64):
    probabilities = torch.rand(2, 3, 4, 5)
    assert_same(class_means(probabilities), probabilities.flatten(2).mean(2))


def naive_kept(confidence, labels, discount, upper, lower):
    kept = torch.zeros_like(labels, dtype=torch.bool)
    for image in range(len(labels)):
        for c in range(len(discount)):
            members = labels[image] == c
            if members.any():
                threshold = max(lower, upper * confidence[image][members].max() * discount[c])
                kept[image] |= members & (confidence[image] > threshold)
    return kept


def test_labels_above_the_threshold_of_their_class_and_image_are_kept(float64):
    confidence, labels = torch.randn(2, 5, 12, 16).softmax(1).max(1)
    labels[0][labels[0] == 4] = 3  # an absent class
    discount = torch.tensor([1.0, 0.8, 0.5, 0.9, 0.7])
    kept = above_threshold(confidence, labels, discount, 0.9, 0.4)
    assert torch.equal(kept, naive_kept(confidence, labels, discount, 0.9, 0.4))
    assert 0.1 < kept.double().mean() < 0.9
    peaks = class_peaks(confidence, labels, 5)
    assert peaks[0, 4] == 0 and class_thresholds(peaks, discount, 0.9, 0.4)[0, 4] == 0.4


def test_a_confidence_at_the_threshold_is_not_above_it():
    confidence = torch.tensor([[[0.5, 0.50001]]])
    kept = above_threshold(confidence, torch.zeros(1, 1, 2).long(), torch.zeros(1), 1.0, 0.5)
    assert kept.tolist() == [[[False, True]]]


def test_rare_classes_have_low_thresholds_and_large_weights(float64):
    prior = RunningPrior(2, beta=1e-3)
    prior.prior.copy_(torch.tensor([0.5, 1e-4]))
    assert_same(prior.discount(), 1 - torch.exp(torch.tensor([-500.0, -0.1])))
    assert_same(prior.focal_weight(3), torch.tensor([0.5**3, 0.9999**3]))
