"""Copies logged values from the device once per log line instead of once per step."""

import math

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from mmseg_uda.engine.hooks.checkpoint import ExactCheckpointHook
from mmseg_uda.errors import UserError


@HOOKS.register_module()
class DeferredLossHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook`` without a device-to-host synchronisation per value and step.

    The values stay on the device until a log line or checkpoint is due; then they are averaged over
    the ranks and passed to the message hub. A loss that is not finite stops the run there, before a
    checkpoint with NaN could replace a usable one.
    """

    def before_train(self, runner: Runner) -> None:
        """Read from the other hooks when values are due."""
        super().before_train(runner)
        readers = (LoggerHook, ExactCheckpointHook)
        self.intervals = {hook.interval for hook in runner.hooks if isinstance(hook, readers)}
        self.pending: list[dict[str, Tensor]] = []

    def before_train_iter(self, runner: Runner, *_, **__) -> None:
        """Log one learning rate per optimiser: that of its config times the schedule.

        With several parameter groups this is mmengine's ``base_lr``, not that of the first group.
        """
        runner.message_hub.update_info('iter', runner.iter)
        rates = runner.optim_wrapper.get_lr()
        for name in rates:
            if not name.endswith('base_lr'):
                rate = rates.get(f'{name.removesuffix("lr")}base_lr', rates[name])
                runner.message_hub.update_scalar(f'train/{name}', rate[0])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Collect the values of a step: ``outputs``, name -> scalar tensor.

        Raises:
            UserError: a loss is not finite.
        """
        self.pending.append(outputs or {})
        due = any(self.every_n_train_iters(runner, interval) for interval in self.intervals)
        if due or self.is_last_train_iter(runner):
            self._flush(runner)

    def _flush(self, runner: Runner) -> None:
        steps = [(name, value) for step in self.pending for name, value in step.items()]
        first = runner.iter + 2 - len(self.pending)
        self.pending.clear()
        values = torch.stack([value.float().reshape(()) for _, value in steps])
        all_reduce(values, op='mean')
        for (name, _), value in zip(steps, values.tolist(), strict=True):
            if 'loss' in name and not math.isfinite(value):
                raise UserError(
                    f'{name} became {value} between iterations {first} and {runner.iter + 1}; the '
                    f'earlier checkpoints are in {runner.work_dir}. Try a lower learning rate, '
                    'a longer warm-up, or float32'
                )
            runner.message_hub.update_scalar(f'train/{name}', value)
