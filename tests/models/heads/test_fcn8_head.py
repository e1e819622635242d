import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_uda.models import FCN8Head
from tests.precision import assert_same

CHANNELS = (3, 5, 6)


def feature_maps(size=(2, 3)):
    """Maps of stride 8, 16 and 32; ``size`` is that of the last."""
    return [
        torch.randn(2, channels, *(side * factor for side in size))
        for channels, factor in zip(CHANNELS, (4, 2, 1), strict=True)
    ]


def small_head(**options):
    torch.manual_seed(0)
    return FCN8Head(CHANNELS, channels=8, num_classes=7, **options)


def test_scores_are_up_scaled_by_two_and_summed(float64):
    head, maps = small_head().eval(), feature_maps()

    def up2(x):
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)

    score = up2(head.vgg_head(maps[2])) + head.score_pool4(maps[1])
    logits = head(maps)
    assert logits.shape == (2, 7, 8, 12)
    assert_same(logits, up2(score) + head.score_pool3(maps[0]))


def test_logits_are_up_scaled_with_aligned_corners():
    assert small_head().align_corners


def test_dropout_is_active_in_training_only():
    """Whole channels are dropped, with a probability of 0.1."""
    head, maps = small_head(norm_eval=True), feature_maps()
    drops = [module for module in head.vgg_head if isinstance(module, nn.Dropout2d)]
    assert [drop.p for drop in drops] == [0.1, 0.1]
    first = head.train()(maps)
    assert not torch.equal(first, head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))
    ones = torch.ones(64, 64, 3, 3)
    dropped = drops[0].train()(ones) == 0
    assert torch.equal(dropped.any((2, 3)), dropped.all((2, 3)))
    assert dropped[:, :, 0, 0].double().mean().item() == pytest.approx(0.1, abs=0.02)


def test_no_dropout_without_a_ratio():
    head, maps = small_head(dropout_ratio=0.0, norm_eval=True).train(), feature_maps()
    assert torch.equal(head(maps), head(maps))


def test_initial_weights():
    """The skip scores start from N(0, 0.01), everything else from torch's defaults."""
    torch.manual_seed(0)
    head = FCN8Head((512, 512, 6), channels=8, num_classes=19)
    before = {n: v.clone() for n, v in head.state_dict().items()}
    head.init_weights()
    changed = {n for n, v in head.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {'score_pool3.weight', 'score_pool4.weight'}
    for score in (head.score_pool3, head.score_pool4):
        assert score.weight.std().item() == pytest.approx(0.01, rel=0.05)
