"""Contrast of pixels with a dictionary of keys of each class (CaCo, Huang et al., CVPR 2022).

The similarities of N cells and K keys are an (N, K) matrix. It is computed in blocks of keys, once
for the loss and again for the gradient, and is never in memory as a whole.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.models.precision import at_least_float32

KEY_BLOCK = 256  # keys per matrix product with the cells


def category_loss(
    features: Tensor, labels: Tensor, keys: Tensor, reliability: Tensor, temperature: float
) -> Tensor:
    """CaCo's contrast of every cell with all keys, the positives of which are those of its class.

    With unit vectors q_i of the cells and z_j of the n keys, s_ij = q_i.z_j / t and the keys'
    reliabilities r_j, the loss is the mean over *all* cells of::

        sum over the keys j of the cell's class of (log(sum_k r_k exp(s_ik)) - s_ij - log r_j) / n

    It is divided by the number of all keys, not of the positives, as published. Cells without a
    label or without a key of their class add 0 to the mean. Only ``features`` get a gradient.

    Args:
        features: (B, A, h, w), of any length.
        labels: (B, h, w) int64, 255 = ignore.
        keys: (C, M, A), of any length.
        reliability: (C, M), above 0; 0 where a place holds no key.
        temperature: of the similarities (t).

    Returns:
        The loss, 0-dim; 0 without a key.

    >>> keys = torch.eye(2).unsqueeze(1)  # one key of each class
    >>> cells = torch.tensor([[[[1.0, 0.0]], [[0.0, 3.0]]]])
    >>> loss = category_loss(cells, torch.tensor([[[0, 255]]]), keys, torch.ones(2, 1), 1.0)
    >>> round(loss.item(), 4)  # log(1 + exp(-1)) / 2 keys / 2 cells
    0.0783
    """
    with torch.autocast(features.device.type, enabled=False):
        with torch.no_grad():
            keys = F.normalize(keys, dim=2)
            used = reliability > 0
            log_weight = reliability.log()
            # The positives of a cell need only the sums over the keys of each class.
            number = used.sum(dim=1)
            key_sum = torch.bmm(used.unsqueeze(1).to(keys), keys).squeeze(1)
            log_weight_sum = log_weight.masked_fill(~used, 0).sum(dim=1)
        labels = labels.flatten(1)
        own = labels.masked_fill(labels == IGNORE, 0)
        features = at_least_float32(features).flatten(2)
        normaliser, positive = _Similarities.apply(
            features, own, keys.flatten(0, 1), log_weight.flatten(), key_sum, temperature
        )
        loss = number[own] * normaliser - positive - log_weight_sum[own]
        return (loss / number.sum().clamp(min=1)).masked_fill(labels == IGNORE, 0).mean()


class _Similarities(torch.autograd.Function):
    """Log of each cell's weighted sum of exp(similarity), and its similarity to a sum of keys.

    Forward, from features f (B, A, N), classes (B, N), unit keys z (K, A) with log-weights (K,) and
    sums S of the keys of each class (C, A): log(sum_j w_j exp(s_j)) and S_own.f / (t |f|), both
    (B, N), with s_j = z_j.f / (t |f|). Without a key the first one is 0.

    Backward, with the gradient g_j with respect to s_j, that of f is the sum over all keys of
    g_j (z_j / (t |f|) - s_j f / |f|^2). Beside it, there are only blocks of similarities in memory.
    """

    @staticmethod
    def forward(ctx, features, own, keys, log_weight, key_sum, temperature):
        length = features.norm(dim=1, keepdim=True).clamp(min=1e-12)
        scale = 1 / (temperature * length)  # (B, 1, N)
        normaliser = torch.full_like(length, -torch.inf).squeeze(1)
        for block, weights in _blocks(keys, log_weight):
            similarity = _products(block, features).mul_(scale).add_(weights)
            normaliser = torch.logaddexp(normaliser, similarity.logsumexp(dim=1))
        normaliser.masked_fill_(normaliser == -torch.inf, 0)
        positive = _products(key_sum, features).gather(1, own.unsqueeze(1)).mul_(scale).squeeze(1)
        ctx.save_for_backward(
            features, own, keys, log_weight, key_sum, length, scale, normaliser, positive
        )
        return normaliser, positive

    @staticmethod
    @once_differentiable
    def backward(ctx, of_normaliser, of_positive):
        features, own, keys, log_weight, key_sum, length, scale, normaliser, positive = (
            ctx.saved_tensors
        )
        classes = torch.arange(len(key_sum), device=own.device).view(1, -1, 1)
        shares = (own.unsqueeze(1) == classes) * of_positive.unsqueeze(1)  # (B, C, N)
        gradient = _products(key_sum.T, shares)
        radial = of_positive * positive  # sum of g_j s_j, (B, N)
        for block, weights in _blocks(keys, log_weight):
            similarity = _products(block, features).mul_(scale)
            share = (similarity + weights).sub_(normaliser.unsqueeze(1)).exp_()
            share.mul_(of_normaliser.unsqueeze(1))
            radial = radial + similarity.mul_(share).sum(dim=1)
            gradient.baddbmm_(block.T.expand(len(features), -1, -1), share)
        gradient.mul_(scale)
        gradient.addcmul_(features, radial.unsqueeze(1) / length.square(), value=-1)
        return gradient, None, None, None, None, None


def _blocks(keys: Tensor, log_weight: Tensor):
    """Blocks of keys (k, A), with their log-weights (k, 1)."""
    return zip(keys.split(KEY_BLOCK), log_weight.unsqueeze(1).split(KEY_BLOCK), strict=True)


def _products(rows: Tensor, maps: Tensor) -> Tensor:
    """Rows (k, A) times maps (B, A, N): (B, k, N)."""
    return torch.bmm(rows.expand(len(maps), -1, -1), maps)
