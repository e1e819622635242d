"""Pixel-to-class contrast: the losses of SePiCo, their regulariser, and SDCA's loss.

SePiCo (Xie et al., TPAMI 2023), SDCA (Li et al., 2021). Embeddings are maps (B, A, h, w), labels
(B, h, w) with 255 = ignore; class statistics get no gradient. Every loss is 0-dimensional: the mean
over the labelled cells of all ranks, 0 without any. Each rank returns its share times the number of
ranks, so that their average is the mean. Memory is a small multiple of the embeddings', and there
is no device-to-host synchronisation.
"""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from mmseg_uda.datasets.labels import IGNORE

MAX_BLOCK = 256  # cells of one class per matrix product with its bank


def proto_loss(embeddings: Tensor, labels: Tensor, mean: Tensor, temperature: float) -> Tensor:
    """ProtoCL: cross entropy over the similarities to the class means.

    Args:
        embeddings: (B, A, h, w).
        labels: (B, h, w).
        mean: (C, A).

    >>> mean = torch.eye(2)
    >>> loss = proto_loss(mean.view(1, 2, 1, 2), torch.tensor([[[0, 1]]]), mean, 1.0)
    >>> round(loss.item(), 4)  # log(1 + exp(-1))
    0.3133
    """
    logits = mean @ embeddings.flatten(2) / temperature
    return _mean(_cross_entropy(logits, labels), labels)


def dist_loss(
    embeddings: Tensor, labels: Tensor, mean: Tensor, variance: Tensor, temperature: float
) -> Tensor:
    """DistCL: upper bound of the expected contrast with Gaussian classes.

    With temperature t and S' = S / t, the logits are l_k = (f.mu_k + f.(S'_k f) / 2) / t. The bound
    is the cross entropy of the logits plus the own class's quadratic term; together these are
    log sum_k exp(l_k) - f.mu_own / t.

    Args:
        embeddings: (B, A, h, w).
        labels: (B, h, w).
        mean, variance: (C, A).
    """
    embeddings = embeddings.flatten(2)
    similarity = mean @ embeddings / temperature
    quadratic = (variance / (2 * temperature**2)) @ embeddings.square()
    return _bound(similarity, quadratic, labels)


def semantic_loss(
    features: Tensor, labels: Tensor, mean: Tensor, variance: Tensor, temperature: float
) -> Tensor:
    """SDCA's contrast: :func:`dist_loss` of unit vectors.

    Features, means and variances are normalised to unit length over the channels; rows of zeros
    stay zero. (SePiCo's embeddings have unit length already.)

    Args:
        features: (B, A, h, w).
        labels: (B, h, w).
        mean, variance: (C, A).
    """
    features = features.flatten(2)
    # The products are divided by the length, not the features, which are much larger.
    length = features.norm(dim=1, keepdim=True).clamp(min=1e-12)
    mean, variance = F.normalize(mean, dim=1), F.normalize(variance, dim=1)
    similarity = (mean / temperature) @ features / length
    quadratic = (variance / (2 * temperature**2)) @ features.square() / length.square()
    return _bound(similarity, quadratic, labels)


def bank_loss(
    embeddings: Tensor,
    labels: Tensor,
    bank: Tensor,
    length: Tensor,
    temperature: float,
) -> Tensor:
    """BankCL: contrast of each row of the own class's bank with all other classes.

    A negative class enters by exp of its *mean* similarity (the mean over its rows is inside the
    exponential), so negatives need only the mean of each bank.

    Args:
        embeddings: (B, A, h, w).
        labels: (B, h, w).
        bank: (C, R, A); unused rows are zeros.
        length: (C,), number of rows in use.
    """
    rows, own = embeddings.flatten(2).transpose(1, 2).flatten(0, 1), labels.flatten()
    classes = torch.arange(len(bank), device=bank.device)
    average = bank.sum(dim=1) / length.unsqueeze(1)
    others = (rows @ average.T / temperature).masked_fill(own.unsqueeze(1) == classes, -math.inf)
    negative = others.logsumexp(dim=1)

    cells, used, block_class = _blocks_of_one_class(own, len(bank))
    similarity = rows[cells] @ bank[block_class].transpose(1, 2) / temperature  # (blocks, cells, R)
    loss = F.softplus(negative[cells].unsqueeze(2) - similarity)
    in_use = torch.arange(bank.shape[1], device=bank.device) < length[block_class].unsqueeze(1)
    loss = (loss * in_use.unsqueeze(1)).sum(dim=2) / length[block_class].unsqueeze(1)
    return _mean((loss * used).sum(), labels)


def uniformity(embeddings: Tensor, labels: Tensor, mean: Tensor, temperature: float) -> Tensor:
    """SePiCo's regulariser, about -1, which is *added* to the loss with the published sign.

    sum_k log softmax_k(fbar.mu_k / t) / (C ln C), where fbar is the mean of the labelled
    embeddings. Minimising it moves fbar's distribution away from the uniform one.

    Args:
        embeddings: (B, A, h, w).
        labels: (B, h, w).
        mean: (C, A).
    """
    members = (labels != IGNORE).flatten(1).unsqueeze(2).to(embeddings)
    count = _global_count(labels)
    total = (embeddings.flatten(2) @ members).sum(dim=0).squeeze(1)  # (A,)
    everywhere = total.detach().clone()
    all_reduce(everywhere)
    # The value is of all ranks' cells; the gradient is this rank's share times their number.
    total = everywhere + get_world_size() * (total - total.detach())
    logits = mean @ total / count.clamp(min=1) / temperature
    number = len(mean)
    return (count > 0) * F.log_softmax(logits, dim=0).sum() / (number * math.log(number))


def _bound(similarity: Tensor, quadratic: Tensor, labels: Tensor) -> Tensor:
    """The bound of :func:`dist_loss` from its terms (B, C, N), both divided by the temperature."""
    own = labels.flatten(1).unsqueeze(1)
    own = similarity.gather(1, own.masked_fill(own == IGNORE, 0)).squeeze(1)
    return _mean((similarity + quadratic).logsumexp(dim=1) - own, labels)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, C, N) and labels (B, h, w) -> (B, N), 0 where ignored."""
    return F.cross_entropy(logits, labels.flatten(1), ignore_index=IGNORE, reduction='none')


def _mean(losses: Tensor, labels: Tensor) -> Tensor:
    """Mean over labelled cells of losses (B, N), or of their sum over them (0-dim)."""
    if losses.ndim:
        losses = torch.where(labels.flatten(1) == IGNORE, 0.0, losses).sum()
    return losses * get_world_size() / _global_count(labels).clamp(min=1)


def _global_count(labels: Tensor) -> Tensor:
    count = (labels != IGNORE).sum()
    all_reduce(count)
    return count


@torch.no_grad()
def _blocks_of_one_class(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort cells into blocks of equal size, each of one class, with padding after each class.

    The number and size of the blocks depend only on the number of cells, so there is no
    device-to-host synchronisation. Except for very few cells, padding adds at most half of N.

    Args:
        labels: (N,), 255 = ignore.

    Returns:
        Indices of the cells (blocks, size), whether a place holds a labelled cell (blocks, size),
        and the class of each block (blocks,).
    """
    number = len(labels)
    block = min(max(number // (2 * num_classes), 16), MAX_BLOCK)
    blocks = -(-number // block) + num_classes + 1
    sorted_labels, order = labels.clamp(max=num_classes).sort(stable=True)
    groups = torch.arange(num_classes + 1, device=labels.device)
    start = torch.searchsorted(sorted_labels, groups)
    size = torch.searchsorted(sorted_labels, groups, right=True) - start
    last_block = (-(-size // block)).cumsum(dim=0)
    first_block = last_block - -(-size // block)

    place = torch.arange(number, device=labels.device) - start[sorted_labels]
    place += block * first_block[sorted_labels]
    cells = order.new_zeros(blocks * block)
    cells[place] = order
    used = torch.zeros_like(cells, dtype=torch.bool)
    used[place] = sorted_labels < num_classes
    block_class = torch.searchsorted(
        last_block, torch.arange(blocks, device=labels.device), right=True
    )
    shape = (blocks, block)
    return cells.view(shape), used.view(shape), block_class.clamp(max=num_classes - 1)
