"""SGD that updates a parameter several times per step."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmseg.registry import OPTIMIZERS
from torch import Tensor
from torch.optim import Optimizer

from mmseg_uda.errors import UserError


@OPTIMIZERS.register_module()
class RepeatedSGD(Optimizer):
    """SGD whose parameter groups are updated ``visits`` times per step, with the same gradient.

    The published code of ADVENT, CaCo and ProDA lists parameters of the backbone several times in
    their group, and the optimiser of its version of torch updates a parameter once per listing.
    With gradient g, weights w_0 and decay wd, a step of k visits is, for j = 1, ..., k::

        d_j = d_(j-1) + wd * w_(j-1), d_0 = g    with accumulate_decay (torch up to 1.4)
        d_j = g + wd * w_(j-1)                   without (torch from 1.5)
        m   = momentum * m + d_j                 m starts at 0
        w_j = w_(j-1) - lr * m                   with nesterov: w_(j-1) - lr * (d_j + momentum * m)

    With one visit this is torch's SGD, whose state it can also load. Groups may override any
    option, e.g. by ``paramwise_cfg=dict(custom_keys={'layer': dict(visits=3)})``.

    Args:
        params: parameters, or groups of parameters with their options.
        lr: learning rate.
        momentum: factor of the momentum buffer; 0 for none.
        weight_decay: factor of the weights in the gradient.
        nesterov: look-ahead form; needs ``momentum``.
        visits: number k of updates per step, from 1 up.
        accumulate_decay: the decays of a step's visits add up.

    Raises:
        UserError: ``visits`` is no integer from 1 up, or ``nesterov`` without ``momentum``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        visits: int = 1,
        accumulate_decay: bool = False,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, options | dict(visits=visits, accumulate_decay=accumulate_decay))

    def add_param_group(self, param_group: dict) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        visits = group['visits']
        if type(visits) is not int or visits < 1:
            raise UserError(f'RepeatedSGD: visits is {visits!r}, it must be an integer from 1 up')
        if group['nesterov'] and not group['momentum'] > 0:
            raise UserError(
                f'RepeatedSGD: nesterov needs momentum above 0, but it is {group["momentum"]}'
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient; returns the closure's loss, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group['params'] if weight.grad is not None]
            # A GPU updates all in few kernels; a CPU is faster with one after the other in cache.
            if weights and all(weight.is_cuda for weight in weights):
                self._update(weights, group)
            else:
                for weight in weights:
                    self._update([weight], group)
        return loss

    def _update(self, weights: list[Tensor], group: dict) -> None:
        """Update parameters of one group by the equations of the class."""
        momentum, decay, rate = (group[name] for name in ('momentum', 'weight_decay', 'lr'))
        buffers = [self._buffer(weight) for weight in weights] if momentum else None
        gradients = [weight.grad for weight in weights]
        for _ in range(group['visits']):
            update = torch._foreach_add(gradients, weights, alpha=decay) if decay else gradients
            if group['accumulate_decay']:
                gradients = update
            if momentum:
                torch._foreach_mul_(buffers, momentum)
                torch._foreach_add_(buffers, update)
                update = (
                    torch._foreach_add(update, buffers, alpha=momentum)
                    if group['nesterov']
                    else buffers
                )
            torch._foreach_add_(weights, update, alpha=-rate)

    def _buffer(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if state.get('momentum_buffer') is None:
            state['momentum_buffer'] = torch.zeros_like(weight)
        return state['momentum_buffer']
