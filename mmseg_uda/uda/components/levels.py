"""Weights of a method's losses on the levels of a network."""

from collections.abc import Mapping

from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import MAIN
from mmseg_uda.models.segmentors import Segmentor


def weights_of_levels(
    method: str, weight: float | Mapping[str, float], student: Segmentor
) -> dict[str, float]:
    """Name of a level -> weight of its loss.

    Args:
        method: its name, for the message.
        weight: of the level 'main', or a mapping from levels to weights; other levels are not used.
        student: the network, which has the levels.

    Raises:
        UserError: the network lacks a level, or there is none.

    >>> from types import SimpleNamespace
    >>> weights_of_levels('MinEnt', 0.001, SimpleNamespace(level_names=('main', 'aux')))
    {'main': 0.001}
    """
    weights = dict(weight) if isinstance(weight, Mapping) else {MAIN: weight}
    if not weights or not weights.keys() <= set(student.level_names):
        raise UserError(
            f'{method}: the levels of weight are {", ".join(weights) or "none"}, but the levels of '
            f'the network are {", ".join(student.level_names)}'
        )
    return weights
