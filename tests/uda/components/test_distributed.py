"""Two ranks with one image each must do what one rank does with two images."""

import pytest
import torch

from tests.uda.conftest import build, segmentor
from tests.uda.ranks import two_ranks_equal_one


def self_training():
    method = build(
        dict(
            type='SelfTraining',
            segmentor=segmentor(norm='GN'),
            threshold=0.07,
            addons=dict(
                # classes that the two images hold in different numbers of cells
                feature_distance=dict(
                    type='FeatureDistance', classes=list(range(0, 19, 2)), min_ratio=0.25
                ),
            ),
        )
    )
    # The encoder's reference differs from the student, so that the distance has a gradient.
    with torch.no_grad():
        for p in method.addons['feature_distance'].encoder.parameters():
            p.mul_(1.1)
    return method


def teacher(method):
    return dict(method.teacher.named_parameters())


@pytest.mark.slow
def test_two_ranks_equal_one_rank_with_the_whole_batch(tmp_path):
    one, *_ = two_ranks_equal_one(tmp_path, self_training, teacher)
    assert all(logs['src.loss_imnet_feat_dist'] > 0 for logs in one['losses'])
    names = {name for name, _ in self_training().student.named_parameters()}
    assert all(gradients.keys() == names for gradients in one['gradients'])
