import math
import pickle

import pytest
import torch
import torch.nn.functional as F

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.contrast_losses import semantic_loss
from mmseg_uda.uda.components.semantic_distributions import SemanticDistributions
from tests.damage import flip_bit
from tests.precision import assert_same

CLASSES, CHANNELS = 4, 6


def maps(seed=0, size=8):
    generator = torch.Generator().manual_seed(seed)
    return {
        'feat': torch.randn(2, CHANNELS, size, size, generator=generator),
        'out': 3 * torch.randn(2, CLASSES, size, size, generator=generator),
    }


def labels(seed=0, side=16):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, CLASSES + 1, (2, side, side), generator=generator)
    return drawn.masked_fill(drawn == CLASSES, 255)


def filled():
    distributions = SemanticDistributions(CLASSES, CHANNELS)
    for seed in range(3):
        distributions.update(maps(seed), labels(seed))
    return distributions


def by_the_formula(features, own, mean, variance, temperature):
    """Cross entropy of the bound's logits plus the own class's quadratic term, row by row."""
    rows = features.permute(0, 2, 3, 1)[own != 255]
    own = own[own != 255]
    unit, mean, variance = (F.normalize(x, dim=1) for x in (rows, mean, variance))
    quadratic = (unit[:, None] ** 2 * variance).sum(2) / (2 * temperature**2)
    logits = (unit[:, None] * mean).sum(2) / temperature + quadratic
    return F.cross_entropy(logits, own) + quadratic.gather(1, own[:, None]).mean()


@pytest.mark.parametrize('temperature', [100.0, 0.5])
def test_the_loss_is_the_published_bound_of_unit_vectors(float64, temperature):
    classes = filled().levels['feat']
    own = labels(3, side=8)
    ours, theirs = (5 * maps(3)['feat'] for _ in range(2))
    ours.requires_grad_(), theirs.requires_grad_()
    statistics = classes.mean, classes.variance
    loss = semantic_loss(ours, own, *statistics, temperature)
    expected = by_the_formula(theirs, own, *statistics, temperature)
    assert_same(loss, expected)
    loss.backward(), expected.backward()
    assert_same(ours.grad, theirs.grad)


def test_classes_never_seen_and_zero_features_give_finite_gradients(float64):
    features = maps()['feat']
    features[:, :, 0] = 0
    features.requires_grad_()
    nothing = torch.zeros(CLASSES, CHANNELS)
    loss = semantic_loss(features, labels(side=8), nothing, nothing, 100.0)
    loss.backward()
    assert_same(loss.item(), math.log(CLASSES))
    assert features.grad.isfinite().all()


def test_without_labels_the_loss_is_zero_and_connected():
    given = {level: cells.requires_grad_() for level, cells in maps().items()}
    losses = filled().loss(given, torch.full((2, 8, 8), 255), 100.0)
    sum(losses.values()).backward()
    for level, loss in losses.items():
        assert loss == 0 and (given[level].grad == 0).all()


def test_labels_are_taken_at_the_nearest_pixels_and_counts_are_exact():
    distributions = filled()
    expected = torch.cat([labels(seed)[:, ::2, ::2].flatten() for seed in range(3)])
    counts = torch.bincount(expected[expected != 255], minlength=CLASSES)
    for classes in distributions.levels.values():
        assert torch.equal(classes.count, counts)


def test_what_is_saved_is_loaded_and_has_the_published_form(tmp_path):
    distributions, fresh = filled(), SemanticDistributions(CLASSES, CHANNELS)
    distributions.save(tmp_path)
    content = torch.load(tmp_path / 'out_dist.pth', weights_only=True)
    assert {name: (tuple(v.shape), v.dtype) for name, v in content.items()} == {
        'Mean': ((CLASSES, CLASSES), torch.float32),
        'CoVariance': ((CLASSES, CLASSES), torch.float32),
        'Amount': ((CLASSES,), torch.float32),
    }
    fresh.load(tmp_path)
    for name, value in distributions.state_dict().items():
        assert 'appended' in name or torch.equal(value, fresh.state_dict()[name]), name


def test_files_that_do_not_fit(tmp_path):
    distributions = SemanticDistributions(CLASSES, CHANNELS)
    with pytest.raises(UserError, match='do not exist'):
        distributions.load(tmp_path)
    SemanticDistributions(CLASSES, CHANNELS + 1).save(tmp_path)
    with pytest.raises(UserError, match=r'Mean is \(4, 7\), this network needs \(4, 6\)'):
        distributions.load(tmp_path)
    torch.save([1], tmp_path / 'feat_dist.pth')
    with pytest.raises(UserError, match='Mean is missing'):
        distributions.load(tmp_path)
    SemanticDistributions(CLASSES, CHANNELS).save(tmp_path)
    flip_bit(tmp_path / 'out_dist.pth')
    with pytest.raises(UserError, match=r'out_dist\.pth is damaged .*init-statistics'):
        distributions.load(tmp_path)
    for content in (b'', b'no archive', pickle.dumps(print)):
        (tmp_path / 'feat_dist.pth').write_bytes(content)
        with pytest.raises(UserError, match='damaged'):
            distributions.load(tmp_path)
