import math

import pytest
import torch

from mmseg_uda.uda.methods.fada import SOURCE, TARGET, Seen, class_domain_loss
from tests.precision import assert_same
from tests.uda.conftest import build, segmentor, uda_batch
from tests.uda.methods.test_advseg import gradients
from tests.uda.steps import (
    steps,
)


def fada(temperature=1.8, **options):
    network = {**segmentor(), 'average': 'valid', 'temperature': temperature}
    return build(dict(type='ClassAdversarial', segmentor=network, **options))


def test_the_loss_counts_the_classes_of_one_domain(float64):
    scores = torch.zeros(1, 4, 1, 2)
    scores[0, 2, 0, 1] = 50.0  # the target's first class
    classes = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    even = math.log(4)
    expected = {SOURCE: [even, 50.0], TARGET: [even, 0.1 * 50]}
    for domain, values in expected.items():
        loss = class_domain_loss(scores, classes, domain)
        assert_same(loss, torch.tensor([[values]]))


def test_soft_classes_are_capped_and_softened(float64):
    method = fada(temperature=2.0, cap=0.6)
    for p in method.discriminator.parameters():
        torch.nn.init.zeros_(p)  # every class of every domain is as likely
    logits = torch.zeros(1, 19, 4, 4)
    logits[:, 3] = 2 * math.log(18)  # softened: one half, the others share the rest
    size = (16, 16)
    for factor, total in ((1, 1.0), (10, 0.6)):
        seen = Seen(torch.randn(1, 256, 2, 2), factor * logits, size)
        loss = method.judge(seen, SOURCE)
        assert_same(loss.item(), total * math.log(2 * 19))


def test_the_temperature_is_of_the_training_loss_alone(float64):
    images = uda_batch().source.images
    warm, plain = fada().student.eval(), fada(temperature=1.0).student.eval()
    assert torch.equal(warm.encode_decode(images), plain.encode_decode(images))
    labels = uda_batch().source.labels
    logits = plain.encode_decode(images) / 1.8
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    loss = warm.supervise(images, labels).losses['decode.loss_seg']
    assert_same(loss, expected)


def test_a_step_logs_each_loss_and_their_sum():
    (logs,) = steps(fada(), 1)
    names = {'decode.loss_seg', 'G_trg.loss', 'D_src.loss', 'D_trg.loss'}
    assert set(logs) == names | {'decode.acc_seg', 'loss'}
    assert logs['loss'].item() == pytest.approx(sum(logs[n].item() for n in names), rel=1e-5)


def test_each_loss_reaches_the_network_that_it_is_for():
    source, moved, taught = (gradients(fada(weight=10.0), number) for number in (1, 2, 4))
    assert all(g is None for g in source[1] + moved[1])
    assert all(torch.equal(a, b) for a, b in zip(moved[0], taught[0], strict=True))
    assert all(g is not None for g in taught[1])


def test_the_adversarial_loss_moves_the_backbone_alone():
    source, moved = fada(weight=10.0), fada(weight=10.0)
    for method, number in ((source, 1), (moved, 2)):
        passes = method.passes(method.begin(uda_batch()))
        for _ in range(number):
            method.parse_losses(next(passes))[0].backward()
    for part, same in (('backbone', False), ('decode_head', True)):
        pairs = zip(
            getattr(source.student, part).parameters(),
            getattr(moved.student, part).parameters(),
            strict=True,
        )
        assert all(torch.equal(a.grad, b.grad) for a, b in pairs) is same


def test_the_student_fools_and_the_discriminator_tells_apart():
    """A step of each alone lowers what it wants low."""
    method, images = fada(), uda_batch().target.images
    method.student.eval()
    with torch.no_grad():
        logits = method.student.train_pass(images).logits

    def judged(domain):
        seen = Seen(method.student.features(images)[-1], logits, images.shape[2:])
        return method.judge(seen, domain)

    for network, domain in ((method.student.backbone, SOURCE), (method.discriminator, TARGET)):
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        loss = judged(domain)
        loss.backward()
        optimizer.step()
        method.zero_grad()
        assert judged(domain) < loss
