"""ClassMix: paste the pixels of some source classes onto target images.

Olsson et al., WACV 2021; across domains: DACS (Tranheden et al., WACV 2021). The ignore label 255
is a class like any other here, so mixing may transplant ignored regions, as in the published code.
"""

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmseg_uda.datasets.labels import LABEL_VALUES


@torch.no_grad()
def label_presence(labels: Tensor) -> Tensor:
    """Which label values occur in the batch, over all ranks: (256,) bool."""
    presence = labels.new_zeros(LABEL_VALUES, dtype=torch.uint8)
    presence.index_fill_(0, labels.reshape(-1), 1)
    all_reduce(presence, op='max')
    return presence.bool()


@torch.no_grad()
def choose_classes(presence: Tensor, keys: Tensor) -> Tensor:
    """Choose half of the present label values, rounded up, for every image.

    The values with the lowest random keys win: a draw without replacement that needs no look at
    the device's data from the host.

    Args:
        presence: (256,) bool.
        keys: (B, 256) uniform random numbers in [0, 1).

    Returns:
        (B, 256) bool.
    """
    number = (presence.sum() + 1) // 2
    rank = keys.masked_fill(~presence, 2.0).argsort(dim=1).argsort(dim=1)
    return (rank < number) & presence


@torch.no_grad()
def class_mask(labels: Tensor, chosen: Tensor) -> Tensor:
    """Pixels of ``labels`` (B, H, W) whose value is chosen (B, 256) for their image: bool."""
    return chosen.gather(1, labels.flatten(1)).view_as(labels)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """``source`` where ``mask`` (B, H, W), else ``target``; both (B, H, W) or (B, D, H, W)."""
    if source.ndim == mask.ndim + 1:
        mask = mask.unsqueeze(1)
    return torch.where(mask, source, target)
