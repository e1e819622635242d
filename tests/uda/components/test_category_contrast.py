import pytest
import torch
import torch.nn.functional as F

from benchmarks.cost import peak_bytes
from mmseg_uda.uda.components import category_contrast
from mmseg_uda.uda.components.category_contrast import category_loss
from tests.precision import assert_same

CLASSES, SLOTS, CHANNELS = 5, 4, 6


def problem(seed=0, lengths=(4, 0, 1, 3, 2)):
    """Features of two images, labels with ignored cells, keys and their reliabilities."""
    torch.manual_seed(seed)
    features = 3 * torch.randn(2, CHANNELS, 4, 5)
    labels = torch.randint(0, CLASSES + 1, (2, 4, 5))
    labels[labels == CLASSES] = 255
    keys = 2 * torch.randn(CLASSES, SLOTS, CHANNELS)
    used = torch.arange(SLOTS) < torch.tensor(lengths).unsqueeze(1)
    reliability = torch.where(used, 0.9 + 0.2 * torch.rand(CLASSES, SLOTS), 0)
    return features.requires_grad_(), labels, keys, reliability


def by_the_formula(features, labels, keys, reliability, temperature):
    """The published formula over the keys in use."""
    used = reliability > 0
    classes = used.nonzero()[:, 0]
    z, r = F.normalize(keys[used], dim=1), reliability[used]
    q = F.normalize(features, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    s = q @ z.T / temperature
    s = s - s.max(dim=1, keepdim=True).values.detach()
    log_p = s - (s.exp() * r + 1e-20).sum(dim=1, keepdim=True).log() + r.log()
    return -((labels.view(-1, 1) == classes) * log_p).sum(dim=1).mean() / len(r)


@pytest.mark.parametrize('block', [256, 3])
@pytest.mark.parametrize('lengths', [(4, 4, 4, 4, 4), (4, 0, 1, 3, 2)])
def test_loss_and_gradient_are_those_of_the_formula(float64, monkeypatch, block, lengths):
    monkeypatch.setattr(category_contrast, 'KEY_BLOCK', block)
    features, *rest = problem(lengths=lengths)
    loss = category_loss(features, *rest, temperature=0.07)
    expected = by_the_formula(features, *rest, temperature=0.07)
    assert_same(loss, expected)
    found, wanted = (torch.autograd.grad(3 * value, features)[0] for value in (loss, expected))
    assert_same(found, wanted)
    assert found.abs().max() > 1e-3


def test_only_features_get_a_gradient():
    features, labels, keys, reliability = problem()
    keys.requires_grad_()
    category_loss(features, labels, keys, reliability, 0.07).backward()
    assert features.grad.any() and keys.grad is None


@pytest.mark.parametrize('case', ['no keys', 'no labels', 'zeros', 'extreme'])
def test_finite_in_extreme_cases(case):
    features, labels, keys, reliability = problem()
    if case == 'no keys':
        reliability.zero_()
    if case == 'no labels':
        labels.fill_(255)
    with torch.no_grad():
        features *= {'zeros': 0, 'extreme': 1e15}.get(case, 1)
    loss = category_loss(features, labels, keys, reliability, 1e-3)
    loss.backward()
    assert loss.isfinite() and features.grad.isfinite().all()
    assert (loss.item() == 0) == (case in ('no keys', 'no labels'))


def test_half_precision_features_are_contrasted_in_float32():
    features, labels, keys, reliability = problem()
    with torch.autocast('cpu', torch.bfloat16):
        loss = category_loss(features.bfloat16(), labels, keys, reliability, 0.07)
    loss.backward()
    expected = category_loss(features.bfloat16().float(), labels, keys, reliability, 0.07)
    assert loss.dtype == torch.float32 and loss.item() == expected.item()
    assert features.grad.any()


def test_memory_stays_below_twice_the_similarities():
    """Gradient included, beyond the inputs."""
    torch.manual_seed(0)
    keys, reliability = torch.randn(19, 100, 512), torch.full((19, 100), 1.1)
    features = torch.randn(1, 512, 20, 24, requires_grad=True)
    labels = torch.randint(0, 19, (1, 20, 24))
    run = lambda: category_loss(features, labels, keys, reliability, 0.07).backward()  # noqa: E731
    run()
    features.grad = None
    assert peak_bytes(run) <= 2 * 1900 * 480 * 4
