import pytest
import torch
import torch.multiprocessing as mp

from mmseg_uda.uda.components.class_balance import ClassBalance
from tests.precision import assert_same
from tests.uda.ranks import process_group
from tests.uda.steps import no_host_round_trips


def batch(seed, images=2):
    """Labels of the classes 0 (many pixels), 1 (few) and, in odd batches, 2; 3 never."""
    torch.manual_seed(seed)
    labels = torch.zeros(images, 10, 10, dtype=torch.int64)
    labels[:, :2] = 255
    labels[:, 2, :3] = 1
    labels[0, 3, :9] = 2 if seed % 2 else 0
    return labels[torch.randperm(images)]


def test_weights_are_the_product_of_both_factors(float64):
    balance, absent = ClassBalance(4, largest=5.0, momentum=0.8, min_pixels=4), torch.ones(4)
    for seed in range(4):
        with no_host_round_trips():
            weights = balance.update(batch(seed))
        there = torch.tensor([1.0, 1.0, 1.0 if seed % 2 else 5.0, 5.0])
        absent = 0.8 * absent + 0.2 * there
        # Class 2 has 9 pixels in two images: one more than min_pixels per image.
        rare = torch.tensor([1.0, 5.0, 1.0 if seed % 2 else 5.0, 5.0])
        assert_same(weights, rare * absent)
        assert_same(balance.state_dict(), dict(absent=absent))


@pytest.mark.parametrize(('pixels', 'weight'), [(7, 3.0), (8, 1.0)])
def test_a_class_is_rare_below_the_pixels_per_image(pixels, weight):
    labels = torch.full((2, 4, 4), 255)
    labels[0].view(-1)[:pixels] = 0
    assert ClassBalance(1, largest=3.0, min_pixels=4).update(labels).tolist() == [weight]


def two_ranks(rank, folder):
    with process_group(rank, 2, folder / 'rendezvous'):
        balance = ClassBalance(4, min_pixels=4)
        found = [balance.update(batch(seed, images=4)[2 * rank :][:2]) for seed in range(3)]
    with process_group(0, 1, folder):
        balance = ClassBalance(4, min_pixels=4)
        assert_same(found, [balance.update(batch(seed, images=4)) for seed in range(3)])


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    mp.spawn(two_ranks, (tmp_path,), nprocs=2)
