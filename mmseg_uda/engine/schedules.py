"""Learning-rate schedule of the methods, in closed form."""

from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(_ParamScheduler):
    """Polynomial decay to ``min_lr``, times a linear warm-up.

    Before iteration i (from 0), with a group's base rate lr::

        decayed(i) = (lr - min_lr) * (1 - i / end) ** power + min_lr
        rate(i)    = decayed(i) * (1 - (1 - i / warmup_iters) * (1 - warmup_ratio))

    The second factor is applied for i < warmup_iters. The decay starts at iteration 0, during the
    warm-up. Without ``decay_in_warmup``, decayed(i) = lr for i < warmup_iters, and the rate drops a
    little at iteration ``warmup_iters`` (CaCo's fine-tuning). Chained library schedules cannot
    express the first form for ``min_lr`` > 0, because their decay acts on the warmed-up rate.

    Args:
        optimizer: the optimiser (wrapper); passed by the runner.
        end: iteration at which the decay ends; by default that of the run, passed by the runner. It
            may be beyond the run; after it the rate is ``min_lr``.
        power: exponent of the decay.
        min_lr: rate at the end, the same for all groups.
        warmup_iters: number of warm-up iterations, 0 for none.
        warmup_ratio: factor at iteration 0.
        decay_in_warmup: whether the decay also applies before iteration ``warmup_iters``.
        by_epoch: must be False, also in the config, where mmengine reads it.
    """

    def __init__(
        self,
        optimizer,
        end: int,
        power: float = 1.0,
        min_lr: float = 0.0,
        warmup_iters: int = 0,
        warmup_ratio: float = 1e-6,
        decay_in_warmup: bool = True,
        by_epoch: bool = False,
    ) -> None:
        if by_epoch:
            raise ValueError('WarmupPolyLR counts iterations: set by_epoch=False')
        self.iterations = end
        self.power = power
        self.min_lr = min_lr
        self.warmup_iters = warmup_iters
        self.warmup_ratio = warmup_ratio
        self.decay_in_warmup = decay_in_warmup
        super().__init__(optimizer, param_name='lr', end=INF, by_epoch=False)

    def _get_value(self) -> list[float]:
        """Rates of all groups before iteration ``last_step``."""
        i = self.last_step
        decay = (1 - min(i / self.iterations, 1)) ** self.power
        warmup = 1.0
        if i < self.warmup_iters:
            warmup = 1 - (1 - i / self.warmup_iters) * (1 - self.warmup_ratio)
            decay = decay if self.decay_in_warmup else 1.0
        return [((lr - self.min_lr) * decay + self.min_lr) * warmup for lr in self.base_values]
