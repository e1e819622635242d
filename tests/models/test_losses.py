import math

import torch
import torch.nn.functional as F

from mmseg_uda.models.losses import segmentation_loss, upscale


def draw(size=(8, 12), batch=2, classes=5):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, classes, *size, generator=generator)
    labels = torch.randint(classes, (batch, *size), generator=generator)
    return logits, labels


def test_ignored_pixels_count_in_the_mean():
    logits, labels = draw()
    whole, accuracy = segmentation_loss(logits, labels)
    half = labels.clone()
    half[:, :4] = 255
    part, part_accuracy = segmentation_loss(logits, half)
    expected = F.cross_entropy(logits[:, :, 4:], labels[:, 4:])
    torch.testing.assert_close(part, expected / 2)
    correct = (logits.argmax(1) == labels).float()
    torch.testing.assert_close(accuracy, 100 * correct.mean())
    torch.testing.assert_close(part_accuracy, 50 * correct[:, 4:].mean())
    assert whole.shape == accuracy.shape == ()


def test_only_ignored_pixels_give_zero_that_can_be_differentiated():
    logits, labels = draw()
    logits.requires_grad_()
    loss, accuracy = segmentation_loss(logits, torch.full_like(labels, 255))
    loss.backward()
    assert loss == 0 and accuracy == 0 and (logits.grad == 0).all()


def test_weight_multiplies_each_pixel():
    logits, labels = draw()
    weight = torch.rand(labels.shape)
    loss, _ = segmentation_loss(logits, labels, weight)
    expected = (F.cross_entropy(logits, labels, reduction='none') * weight).sum() / labels.numel()
    torch.testing.assert_close(loss, expected)


def test_logits_are_brought_to_the_labels_size():
    logits = torch.zeros(1, 4, 3, 5)
    loss, _ = segmentation_loss(logits, torch.zeros(1, 11, 17, dtype=torch.long))
    torch.testing.assert_close(loss, torch.tensor(math.log(4)))


def test_half_precision_logits_are_scored_in_float32():
    logits, labels = draw()
    loss, _ = segmentation_loss(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert upscale(logits.double(), (4, 4)).dtype == torch.float64


def test_upscale_leaves_the_right_size_alone():
    logits, _ = draw()
    assert upscale(logits, (8, 12)) is logits
