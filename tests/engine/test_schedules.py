import pytest
import torch
from mmengine.config import Config

from mmseg_uda.engine.schedules import WarmupPolyLR


def rates(iterations, base=(1.0,), **options):
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))], 'lr': lr} for lr in base]
    optimizer = torch.optim.SGD(groups)
    schedule = WarmupPolyLR(optimizer, **options)
    optimizer.step()
    found = []
    for _ in range(iterations):
        found.append([group['lr'] for group in optimizer.param_groups])
        schedule.step()
    return found


def test_linear_decay_ends_at_zero_after_the_last_iteration():
    assert [lr for (lr,) in rates(5, end=4)] == [1, 0.75, 0.5, 0.25, 0]


def test_warm_up_scales_the_decayed_rate():
    found = rates(12, base=(2.0, 20.0), end=10, warmup_iters=4, warmup_ratio=0.1, min_lr=0.5)
    for i, row in enumerate(found[:10]):
        factor = 1 - (1 - i / 4) * 0.9 if i < 4 else 1
        expected = [((lr - 0.5) * (1 - i / 10) + 0.5) * factor for lr in (2.0, 20.0)]
        assert row == pytest.approx(expected)
    assert found[11] == [0.5, 0.5]  # constant past the end


def test_the_decay_may_wait_for_the_end_of_the_warm_up():
    """As in CaCo's fine-tuning: the rate rises to the base rate, then drops onto the decay."""
    options = dict(end=10, power=0.9, warmup_iters=4, warmup_ratio=0.1, decay_in_warmup=False)
    found = [lr for (lr,) in rates(6, base=(2.0,), **options)]
    rising = [2.0 * (0.1 + 0.9 * i / 4) for i in range(4)]
    assert found == pytest.approx([*rising, 2.0 * 0.6**0.9, 2.0 * 0.5**0.9])


def test_the_decay_may_end_beyond_the_run_or_before_it():
    assert rates(3, end=10, power=0.9)[2][0] == pytest.approx(0.8**0.9)
    assert [lr for (lr,) in rates(6, end=4, power=0.9)][4:] == [0.0, 0.0]


def test_a_rate_below_the_minimum_rises():
    (first,), *_, (last,) = rates(100, base=(6e-5,), end=100, min_lr=1e-4)
    assert first == 6e-5 < last < 1e-4


def test_state_goes_on_exactly():
    whole = rates(8, end=8, warmup_iters=3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = WarmupPolyLR(optimizer, end=8, warmup_iters=3)
    schedule.load_state_dict({**schedule.state_dict(), 'last_step': 5, '_global_step': 5})
    optimizer.step()
    schedule.step()
    assert [optimizer.param_groups[0]['lr']] == whole[6]


def test_the_published_schedule_is_configured():
    config = Config.fromfile('configs/_base_/schedules/adamw_poly10warm_40k.py')
    (options,) = config.param_scheduler
    assert options.pop('type') == 'WarmupPolyLR'
    found = rates(1502, base=(6e-5,), end=config.train_cfg.max_iters, **options)
    assert found[0] == [pytest.approx(6e-5 * 1e-6)]
    assert found[1500] == [pytest.approx(6e-5 * (1 - 1500 / 40000))]
