import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.models.losses import lovasz_softmax, segmentation_loss, upscale
from tests.precision import assert_same


def draw(size=(8, 12), batch=2, classes=5):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, classes, *size, generator=generator)
    labels = torch.randint(classes, (batch, *size), generator=generator)
    return logits, labels


def test_ignored_pixels_count_in_the_mean(float64):
    logits, labels = draw()
    whole, accuracy = segmentation_loss(logits, labels)
    half = labels.clone()
    half[:, :4] = 255
    part, part_accuracy = segmentation_loss(logits, half)
    expected = F.cross_entropy(logits[:, :, 4:], labels[:, 4:])
    assert_same(part, expected / 2)
    correct = (logits.argmax(1) == labels).double()
    assert_same(accuracy, 100 * correct.mean())
    assert_same(part_accuracy, 50 * correct[:, 4:].mean())
    assert whole.shape == accuracy.shape == ()


def test_only_ignored_pixels_give_zero_that_can_be_differentiated():
    logits, labels = draw()
    logits.requires_grad_()
    loss, accuracy = segmentation_loss(logits, torch.full_like(labels, 255))
    loss.backward()
    assert loss == 0 and accuracy == 0 and (logits.grad == 0).all()


def test_weight_multiplies_each_pixel(float64):
    logits, labels = draw()
    weight = torch.rand(labels.shape)
    loss, _ = segmentation_loss(logits, labels, weight)
    expected = (F.cross_entropy(logits, labels, reduction='none') * weight).sum() / labels.numel()
    assert_same(loss, expected)


def test_logits_are_brought_to_the_labels_size(float64):
    logits = torch.zeros(1, 4, 3, 5)
    loss, _ = segmentation_loss(logits, torch.zeros(1, 11, 17, dtype=torch.long))
    assert_same(loss, torch.tensor(math.log(4)))


def test_half_precision_logits_are_scored_in_float32():
    logits, labels = draw()
    loss, _ = segmentation_loss(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert upscale(logits.double(), (4, 4)).dtype == torch.float64


def test_upscale_leaves_the_right_size_alone():
    logits, _ = draw()
    assert upscale(logits, (8, 12)) is logits


def test_the_mean_can_be_over_labelled_pixels_alone(float64):
    logits, labels = draw()
    labels[:, :4] = 255
    loss, _ = segmentation_loss(logits, labels, average='valid')
    assert_same(loss, F.cross_entropy(logits, labels, ignore_index=255))
    nothing, _ = segmentation_loss(logits, torch.full_like(labels, 255), average='valid')
    assert nothing == 0


def lovasz_by_the_definition(logits, labels):
    """Reference: one class after the other, from the Jaccard loss of each prefix of the pixels."""
    probabilities = logits.softmax(1).permute(0, 2, 3, 1)[labels != 255]
    labels = labels[labels != 255]
    losses = []
    for k in labels.unique():
        inside = (labels == k).double()
        errors, order = (inside - probabilities[:, k]).abs().sort(descending=True)
        inside = inside[order]
        total = inside.sum()
        intersection = total - inside.cumsum(0)
        union = total + (1 - inside).cumsum(0)
        jaccard = 1 - intersection / union
        steps = torch.diff(jaccard, prepend=torch.zeros(1))
        losses.append((errors * steps).sum())
    return torch.stack(losses).mean()


def test_lovasz_is_its_definition_with_its_gradient(float64):
    logits, labels = draw()
    labels = labels.clamp(max=3).masked_fill(torch.rand(labels.shape) < 0.2, 255)  # no class 4
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = lovasz_softmax(ours, labels), lovasz_by_the_definition(theirs, labels)
    assert_same(loss, expected)
    loss.backward(), expected.backward()
    assert_same(ours.grad, theirs.grad)


def test_lovasz_of_sets_of_images_is_the_mean_of_those_alone():
    logits, labels = draw(batch=4)
    logits = logits.double()
    labels[0] = 255  # a set without labels has loss 0 and counts in the mean
    for images in (1, 2):
        pairs = zip(logits.split(images), labels.split(images), strict=True)
        alone = [lovasz_softmax(*pair) for pair in pairs]
        expected = sum(alone) / len(alone)
        assert_same(lovasz_softmax(logits, labels, images), expected)
        assert (expected - lovasz_softmax(logits, labels)).abs() > 1e-3
    assert lovasz_softmax(logits, labels, 4) == lovasz_softmax(logits, labels)
    for images in (3, 8):
        with pytest.raises(UserError, match=f'lovasz_images is {images}, .* has 4 labelled'):
            lovasz_softmax(logits, labels, images)


def test_lovasz_with_one_labelled_pixel_or_none(float64):
    logits, labels = draw()
    logits.requires_grad_()
    labels = torch.full_like(labels, 255)
    loss = lovasz_softmax(logits, labels)
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()
    labels[1, 2, 3] = 4
    loss = lovasz_softmax(logits, labels)
    assert_same(loss, 1 - logits.softmax(1)[1, 4, 2, 3])
    loss.backward()
    assert (logits.grad[1, :, 2, 3] != 0).all() and logits.grad.isfinite().all()
