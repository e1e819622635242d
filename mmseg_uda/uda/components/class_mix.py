"""ClassMix: paste the pixels of some source classes onto target images.

Olsson et al., WACV 2021; across domains: DACS (Tranheden et al., WACV 2021). As in the published
code the ignore label 255 is treated as a class, so ignored regions may be pasted too.
"""

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmseg_uda.datasets.labels import LABEL_VALUES


@torch.no_grad()
def label_presence(labels: Tensor) -> Tensor:
    """Label values that occur in ``labels`` (B, H, W) of any rank: (256,) bool."""
    presence = labels.new_zeros(LABEL_VALUES, dtype=torch.uint8)
    presence.index_fill_(0, labels.reshape(-1), 1)
    all_reduce(presence, op='max')
    return presence.bool()


@torch.no_grad()
def choose_classes(presence: Tensor, keys: Tensor) -> Tensor:
    """Choose half of the label values in the batch, rounded up, for every image.

    Those with the lowest random keys are chosen: sampling without replacement and without a
    device-to-host synchronisation.

    Args:
        presence: (256,) bool, values that occur.
        keys: (B, 256) uniform random numbers in [0, 1).

    Returns:
        (B, 256) bool.

    >>> presence = label_presence(torch.tensor([[[0, 2], [5, 255]]]))
    >>> keys = torch.linspace(0.9, 0, 256).view(1, 256)
    >>> choose_classes(presence, keys).nonzero()[:, 1].tolist()
    [5, 255]
    """
    number = (presence.sum() + 1) // 2
    rank = keys.masked_fill(~presence, 2.0).argsort(dim=1).argsort(dim=1)
    return (rank < number) & presence


@torch.no_grad()
def class_mask(labels: Tensor, chosen: Tensor) -> Tensor:
    """Pixels of chosen classes: (B, H, W) bool.

    Args:
        labels: (B, H, W) int64.
        chosen: (B, 256) bool.
    """
    return chosen.gather(1, labels.flatten(1)).view_as(labels)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """``source`` where ``mask`` is true, else ``target``.

    Args:
        mask: (B, H, W) bool.
        source, target: (B, H, W) or (B, D, H, W).
    """
    if source.ndim == mask.ndim + 1:
        mask = mask.unsqueeze(1)
    return torch.where(mask, source, target)
