import pytest
import torch

from mmseg_uda.errors import UserError
from mmseg_uda.uda.feature_distance import feature_distance, reduce_labels

from .conftest import build, segmentor


def naive(labels, factor, num_classes, min_ratio):
    batch, height, width = labels.shape
    small = torch.full((batch, height // factor, width // factor), 255)
    for b, y, x in torch.cartesian_prod(*(torch.arange(n) for n in small.shape)).tolist():
        rows = slice(y * factor, (y + 1) * factor)
        cell = labels[b, rows, x * factor : (x + 1) * factor].flatten().tolist()
        leader = max(range(num_classes), key=cell.count)
        share = cell.count(leader) / factor**2
        if share >= min_ratio and cell.count(leader) >= cell.count(255):
            small[b, y, x] = leader
    return small


@pytest.mark.parametrize('shape', [(2, 16, 24), (1, 19, 22)])  # the second leaves remainders
def test_reduced_labels_are_the_dominant_ones(shape):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, shape, generator=generator).masked_fill_(
        torch.rand(shape, generator=generator) < 0.2, 255
    )
    labels[:, :8, :8] = 2
    labels[0, 0, 0] = 255
    assert torch.equal(reduce_labels(labels, 4, 3, 0.6), naive(labels, 4, 3, 0.6))


def test_mean_over_masked_cells():
    features = torch.zeros(1, 2, 1, 3)
    features[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    features[0, 0, 0, 1] = 1.0
    mask = torch.tensor([[[True, True, False]]])
    assert feature_distance(features, torch.zeros_like(features), mask).item() == 3.0
    assert feature_distance(features, torch.zeros_like(features)).item() == 2.0


def test_an_empty_mask_gives_zero_and_no_gradient():
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    empty = torch.zeros(1, 2, 2, dtype=torch.bool)
    distance = feature_distance(features, torch.ones(1, 4, 2, 2), empty)
    distance.backward()
    assert distance.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_cells_outside_the_mask_that_do_not_differ_have_finite_gradients():
    features = torch.ones(1, 4, 1, 2, requires_grad=True)
    mask = torch.tensor([[[True, False]]])
    reference = torch.tensor([0.0, 1.0]).expand(1, 4, 1, 2)
    feature_distance(features, reference, mask).backward()
    assert features.grad.isfinite().all()


def test_it_needs_pretrained_weights():
    method = build(
        dict(
            type='SelfTraining',
            segmentor=segmentor(),
            parts=dict(feature_distance=dict(type='FeatureDistance')),
        )
    )
    with pytest.raises(UserError, match=r'segmentor\.pretrained'):
        method.init_weights()
