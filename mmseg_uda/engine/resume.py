"""May a training go on with other settings, and how does its optimiser?"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmseg_uda.errors import UserError
from mmseg_uda.settings import differences

SETTINGS = 'config', 'processes'  # entries of a checkpoint's meta
SHOWN = 10


def check_settings(
    path: Path, stored: dict[str, Any], now: dict[str, Any], accept: bool
) -> list[str]:
    """The settings that matter and differ, as ``key: old -> new``; they are logged.

    Args:
        path: the checkpoint.
        stored: its ``meta``.
        now: that of the run that would go on with it.
        accept: go on with what differs, except another optimiser.

    Raises:
        UserError: settings differ, and the run may not go on with them.
    """
    logger = MMLogger.get_current_instance()
    if not isinstance(stored.get('config'), dict):
        logger.warning(f'{path} is of an early version: its config is not compared with this one')
        return []
    before, after = ({key: meta[key] for key in SETTINGS} for meta in (stored, now))
    if not (changes := differences(before, after)):
        return []
    more = f'; and {len(changes) - SHOWN} more' if len(changes) > SHOWN else ''
    message = f'{path} was trained with other settings: {"; ".join(changes[:SHOWN])}{more}'
    if not accept:
        raise UserError(
            f'{message}. Go on with the old ones, choose another --work-dir, or add '
            '--accept-changes to go on with the new ones'
        )
    if any(re.match(r'config\.optim_wrapper\.(\w+\.)?optimizer\.type:', line) for line in changes):
        raise UserError(
            f'{message}. Another optimiser cannot go on: start a new training from the weights, '
            f'with load_from={path} and another --work-dir'
        )
    logger.warning(f'{message}. They are accepted')
    return changes


def load_moments(
    optim_wrapper: OptimWrapper | OptimWrapperDict,
    state: dict,
    schedulers: Sequence,
    iteration: int,
) -> None:
    """Load what an optimiser has gathered; its settings and schedules stay those of the config.

    Args:
        optim_wrapper: new, with ``schedulers`` in their first step.
        state: of the wrapper in the checkpoint.
        iteration: of the checkpoint.

    Raises:
        ValueError: the parameter groups are others.
    """
    settings = [
        {name: value for name, value in group.items() if name != 'params'}
        for group in _groups(optim_wrapper)
    ]
    optim_wrapper.load_state_dict(state)
    for group, own in zip(_groups(optim_wrapper), settings, strict=True):
        group.update(own)
    with warnings.catch_warnings():  # that no step was taken
        warnings.simplefilter('ignore')
        for _ in range(iteration):
            for scheduler in schedulers:
                scheduler.step()


def _groups(optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[dict]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        return [group for wrapper in optim_wrapper.values() for group in wrapper.param_groups]
    return optim_wrapper.param_groups
