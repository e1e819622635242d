"""Re-weighting of pseudo-labels by class similarity with a source crop (CDDA)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.datasets.labels import LABEL_VALUES

KEEP, SET, TRUST = range(3)  # actions on the weights of a class's pixels


class WeightRules(NamedTuple):
    """How the weights of each label value's pixels change.

    Attributes:
        action: (B, 256) int64: KEEP, SET to ``value``, or TRUST (1 where confident, else kept).
        value: (B, 256) float.
    """

    action: Tensor
    value: Tensor


@torch.no_grad()
def weight_rules(
    similarity: Tensor, chosen: Tensor, trust_above: float, drop_below: float
) -> WeightRules:
    """Rules by class similarity: trust above ``trust_above``, 0 below ``drop_below``, else linear.

    Args:
        similarity: (B, C).
        chosen: (B, C) bool, the classes to re-weight.
        trust_above, drop_below: class similarities.

    >>> rules = weight_rules(torch.tensor([[0.9, 0.0]]), torch.tensor([[True, True]]), 0.75, 0.1)
    >>> rules.action[0, :3].tolist() == [TRUST, SET, KEEP], rules.value[0, 1].item()
    (True, 0.0)
    """
    value = ((similarity - drop_below) / (trust_above - drop_below)).clamp(min=0)
    action = torch.where(similarity > trust_above, TRUST, SET).where(chosen, KEEP)
    room = (0, LABEL_VALUES - similarity.shape[1])
    return WeightRules(F.pad(action, room, value=KEEP), F.pad(value, room))


@torch.no_grad()
def reweight_by_class(
    labels: Tensor, weight: Tensor, confident: Tensor, rules: WeightRules
) -> Tensor:
    """Apply rules to the weights of the pixels, each by its own label: (B, H, W).

    Args:
        labels: (B, H, W) int64.
        weight: (B, H, W).
        confident: (B, H, W) bool.
    """
    action, value = (table.gather(1, labels.flatten(1)).view_as(labels) for table in rules)
    weight = torch.where(action == SET, value, weight)
    return torch.where((action == TRUST) & confident, 1.0, weight)


@torch.no_grad()
def reweight_by_first_row(
    labels: Tensor, weight: Tensor, confident: Tensor, rules: WeightRules
) -> Tensor:
    """:func:`reweight_by_class` as in the published code, by the labels of the first row of pixels.

    Confident pixels of column x weigh 1 if the rule of the label at (0, x) is TRUST; all pixels of
    *row* y get the value of the label at (0, y) if its rule is SET. Where both apply, the larger
    label wins. Images are square.
    """
    first = labels[:, 0]
    action, value = (table.gather(1, first) for table in rules)
    column, row = first.unsqueeze(1), first.unsqueeze(2)
    is_set = (action == SET).unsqueeze(2)
    trusted = (action == TRUST).unsqueeze(1) & confident & (~is_set | (column > row))
    return torch.where(trusted, 1.0, torch.where(is_set, value.unsqueeze(2), weight))
