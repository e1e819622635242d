"""Resuming a training with changed settings."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmseg_uda.errors import UserError
from mmseg_uda.settings import differences

SETTINGS = 'config', 'processes'  # entries of a checkpoint's meta that are compared
SHOWN = 10  # differences in a message


def check_settings(
    path: Path, stored: dict[str, Any], now: dict[str, Any], accept: bool
) -> list[str]:
    """Return and log the relevant settings that differ, as ``key: old -> new``.

    Args:
        path: file of the checkpoint.
        stored: ``meta`` of the checkpoint.
        now: ``meta`` of the run that resumes from it.
        accept: accept differences, except another type of optimiser.

    Raises:
        UserError: there are differences that are not accepted.
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
            f'{message}. Restore the old settings, choose another --work-dir, or add '
            '--accept-changes to resume with the new ones'
        )
    if any(re.match(r'config\.optim_wrapper\.(\w+\.)?optimizer\.type:', line) for line in changes):
        raise UserError(
            f'{message}. A training cannot be resumed with another optimiser: start a new one from '
            f'the weights, with load_from={path} and another --work-dir'
        )
    logger.warning(f'{message}. The changes are accepted')
    return changes


def load_moments(
    optim_wrapper: OptimWrapper | OptimWrapperDict,
    state: dict,
    schedulers: Sequence,
    iteration: int,
) -> None:
    """Load an optimiser's state per parameter; keep the settings and schedules of the config.

    Args:
        optim_wrapper: a new optimiser wrapper.
        state: state dict of the wrapper in the checkpoint.
        schedulers: new schedules; they are advanced to ``iteration``.
        iteration: iteration of the checkpoint.

    Raises:
        ValueError: the parameter groups differ.
    """
    settings = [
        {name: value for name, value in group.items() if name != 'params'}
        for group in _groups(optim_wrapper)
    ]
    optim_wrapper.load_state_dict(state)
    for group, own in zip(_groups(optim_wrapper), settings, strict=True):
        group.update(own)
    with warnings.catch_warnings():  # about schedules that step before the optimiser
        warnings.simplefilter('ignore')
        for _ in range(iteration):
            for scheduler in schedulers:
                scheduler.step()


def _groups(optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[dict]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        return [group for wrapper in optim_wrapper.values() for group in wrapper.param_groups]
    return optim_wrapper.param_groups
