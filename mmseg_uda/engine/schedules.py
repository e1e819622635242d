"""The learning-rate schedule that the methods share, in closed form."""

from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupPolyLR(_ParamScheduler):
    """Polynomial decay to ``min_lr``, times a linear warm-up.

    Before iteration i (from 0), with a group's base rate lr::

        decayed(i) = (lr - min_lr) * (1 - i / end) ** power + min_lr
        rate(i)    = decayed(i) * (1 - (1 - i / warmup_iters) * (1 - warmup_ratio))

    where the second factor holds for i < warmup_iters.

    The decay counts from 0, under the warm-up. Chained library schedules cannot say this when
    ``min_lr`` > 0: their decay acts on the warmed-up rate.

    Args:
        optimizer: the optimiser (wrapper); given by the runner.
        end: iterations of the whole run; the runner gives its own by default.
        power: of the decay.
        min_lr: rate at the end, for all groups alike.
        warmup_iters: iterations of the warm-up, 0 for none.
        warmup_ratio: factor at iteration 0.
        by_epoch: must be False, also in the config, where mmengine looks for it.
    """

    def __init__(
        self,
        optimizer,
        end: int,
        power: float = 1.0,
        min_lr: float = 0.0,
        warmup_iters: int = 0,
        warmup_ratio: float = 1e-6,
        by_epoch: bool = False,
    ) -> None:
        if by_epoch:
            raise ValueError('WarmupPolyLR counts iterations: set by_epoch=False')
        self.iterations = end
        self.power = power
        self.min_lr = min_lr
        self.warmup_iters = warmup_iters
        self.warmup_ratio = warmup_ratio
        super().__init__(optimizer, param_name='lr', end=INF, by_epoch=False)

    def _get_value(self) -> list[float]:
        """The rates of all groups before iteration ``last_step``."""
        i = self.last_step
        decay = (1 - min(i / self.iterations, 1)) ** self.power
        warmup = 1.0
        if i < self.warmup_iters:
            warmup = 1 - (1 - i / self.warmup_iters) * (1 - self.warmup_ratio)
        return [((lr - self.min_lr) * decay + self.min_lr) * warmup for lr in self.base_values]
