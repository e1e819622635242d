"""DA-SAC: warps, fusion of views, class prior, thresholds, loss, momentum network."""

from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_uda.datasets.labels import IGNORE
from mmseg_uda.models.losses import segmentation_loss, upscale
from mmseg_uda.uda.components.class_prior import (
    RunningPrior,
    above_threshold,
    class_means,
    class_peaks,
    class_thresholds,
)
from mmseg_uda.uda.components.distributed import mean_over_images
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.components.view_fusion import (
    COVERED,
    align_views,
    border_factor,
    fuse_views,
    spread,
)
from mmseg_uda.uda.components.warp import warp
from tests.golden.functions.optimisation import Module
from tests.golden.inputs import Weights
from tests.golden.registry import Params, Results, golden, label_maps, tensor


def geometry_of_transforms(transforms: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Matrices (N, 2, 3) of rows (dy, dx, angle, 1/s, flip) for views of ``size``."""
    dy, dx, angle, zoom, flip = tensor(transforms).reshape(-1, 5).unbind(1)
    if angle.any():
        raise ValueError('views are not rotated')
    height, width = size
    zero = torch.zeros_like(zoom)
    rows = (zoom * flip, zero, -zoom * dx / (width // 2)), (zero, zoom, -zoom * dy / (height // 2))
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def checked_geometry(inputs: Params, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The geometry (N, 2, 3) of a case that lists the transforms of its views, and its inverse.

    The given inverse is used: the published one differs from ours where a side is odd.

    Raises:
        ValueError: the geometry is not that of the transforms.
    """
    geometry, back = (tensor(inputs[name]).reshape(-1, 2, 3) for name in ('affine', 'inverse'))
    expected = geometry_of_transforms(inputs['transforms'], size)
    if not torch.allclose(expected, geometry, rtol=1e-4, atol=1e-5):
        raise ValueError('the affine matrices of the case are not those of its transforms')
    return geometry, back


@golden('warp')
def warp_maps(params: Params, inputs: Params) -> Results:
    view = tensor(inputs['view'])
    geometry, back = checked_geometry(inputs, view.shape[2:])
    aligned = warp(view, geometry)
    return {
        'aligned': aligned,
        'roundtrip': warp(aligned, back),
        'ones_by_inverse': border_factor(view, back),
    }


@golden('fuse_views')
def fuse(params: Params, inputs: Params) -> Results:
    frames, ignore = tensor(inputs['frames']), tensor(inputs['ignore']).bool()
    size, number = frames.shape[2:], params['views']
    geometry, back = checked_geometry(inputs, size)
    probabilities = upscale(tensor(inputs['logits']), size, align_corners=True).softmax(1)
    prior = RunningPrior(probabilities.shape[1], params['prior_momentum'], params['beta'])
    prior.update(class_means(probabilities))
    probabilities = probabilities.masked_fill(ignore.unsqueeze(1), 0)
    by_group = (maps.unflatten(0, (-1, number)) for maps in (probabilities, geometry, back))
    groups = [*zip(*by_group, strict=True)]
    if len(groups) != params['groups']:
        raise ValueError(f'{len(groups)} groups')
    refined = torch.cat([fuse_by_mean(*group) for group in groups])
    return {
        'refined': refined,
        'class_sum': refined.sum(1),
        'aligned': warp(probabilities, geometry),
        'frames_aligned': warp(frames, geometry),
        'prior': prior.prior,
        'not_fused': probabilities,
        'refined_min_entropy': torch.cat([fuse_by_entropy(*group) for group in groups]),
    }


def fuse_by_mean(probabilities: Tensor, geometry: Tensor, back: Tensor) -> Tensor:
    """``fuse_views`` with a given inverse."""
    with patch('mmseg_uda.uda.components.view_fusion.inverse', return_value=back):
        return fuse_views(probabilities, geometry)


def fuse_by_entropy(probabilities: Tensor, geometry: Tensor, back: Tensor) -> Tensor:
    """As ``fuse_by_mean``; per pixel the view with the smallest entropy, instead of the mean."""
    aligned = align_views(probabilities, geometry, back)
    smooth = (aligned + 1e-5) / (1 + 1e-5)
    entropy = -(smooth * smooth.log()).sum(1, keepdim=True)
    entropy = entropy.masked_fill(aligned.sum(1, keepdim=True) < COVERED, 1e5)
    best = entropy.argmin(0, keepdim=True).expand(-1, aligned.shape[1], -1, -1)
    chosen = aligned.gather(0, best)[0]
    return spread(chosen, chosen.sum(0, keepdim=True) > COVERED, back)


@golden('running_prior')
def running_prior(params: Params, inputs: Params) -> Results:
    maps = [tensor(array) for array in inputs['probabilities']]
    prior = RunningPrior(maps[0].shape[1], params['momentum'], params['beta'])
    results: dict[str, list[Tensor]] = {'batch_mean': [], 'prior': [], 'discount': []}
    for probabilities in maps:
        means = class_means(probabilities)
        prior.update(means)
        for name, value in zip(
            results, (means.mean(0), prior.prior, prior.discount()), strict=True
        ):
            results[name].append(value.clone())
    return {name: torch.stack(values) for name, values in results.items()}


@golden('class_thresholds')
def thresholds(params: Params, inputs: Params) -> Results:
    confidence, labels = tensor(inputs['probabilities']).max(1)
    prior = RunningPrior(len(inputs['prior']), beta=params['beta'])
    prior.prior.copy_(tensor(inputs['prior']))
    discount, limits = prior.discount(), (params['upper'], params['lower'])
    ignore = tensor(inputs['ignore']).bool()

    def kept(discount: Tensor) -> Tensor:
        mask = above_threshold(confidence, labels, discount, *limits) & ~ignore
        return labels.masked_fill(~mask, IGNORE)

    peaks = class_peaks(confidence, labels, len(discount))
    return {
        'labels': kept(discount),
        'labels_plain': kept(torch.ones_like(discount)),
        'confidence': confidence,
        'peak': peaks,
        'threshold': class_thresholds(peaks, discount, *limits),
    }


@golden('self_training_loss')
def self_training_loss(params: Params, inputs: Params) -> Results:
    labels, confidence = label_maps(inputs['labels']), tensor(inputs['confidence'])
    prior = RunningPrior(len(inputs['prior']))
    prior.prior.copy_(tensor(inputs['prior']))
    classes = labels.masked_fill(labels == IGNORE, 0)
    focal = prior.focal_weight(params['focal_power'])[classes]
    weights = dict(
        focal_ce=focal,
        focal_ce_conf=focal * mean_over_images(confidence),
        per_image_conf=focal * confidence,
    )
    results: Results = {}
    for name, weight in weights.items():
        logits = tensor(inputs['logits']).requires_grad_()
        loss, _ = segmentation_loss(logits, labels, weight)
        loss.backward()
        results |= {f'loss.{name}': loss.item(), f'gradient.{name}': logits.grad}
        # The published diagnostic has no confidence.
        losses = focal * F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
        by_class = torch.zeros(logits.shape[1]).index_add_(0, classes.flatten(), losses.flatten())
        results[f'per_class.{name}'] = by_class.detach() / labels.numel()
    return results


STATISTICS = 'running_mean', 'running_var', 'num_batches_tracked'


@golden('momentum_network')
def momentum_network(params: Params, inputs: Params) -> Results:
    """Our teacher copies the student when it gets its initial weights, before iteration 0."""
    names = [name for name, _ in params['state_dict']]
    student = network_of(params['state_dict'])
    teacher = Teacher(
        student,
        params['momentum'],
        warm_up=False,
        interval=params['update_interval'],
        epoch_length=params['iterations_per_epoch'],
        buffers='averaged',
    )
    fill(teacher.network, inputs['teacher'])
    results: dict[str, list] = {'updated': [], 'difference': [], 'values': []}
    iterations = range(params['epochs'] * params['iterations_per_epoch'])
    for i, weights in zip(iterations, inputs['students'], strict=True):
        fill(student, weights)
        if i == 0:
            teacher.follow(student)
        teacher.update(student, i)
        results['updated'].append(int(teacher.is_due(i)))
        results['difference'].append(teacher_difference(teacher.network, student))
        state = teacher.network.state_dict()
        results['values'].append(torch.cat([state[name].flatten()[:6] for name in names]))
    return results | {'values': torch.stack(results['values'])}


def network_of(entries: list[tuple[str, list[int]]]) -> nn.Module:
    """A network with the given names and shapes of its state dict."""
    buffers = {name for name, _ in entries if name.endswith(STATISTICS)}
    counter = STATISTICS[-1]
    types = {name: torch.int64 if name.endswith(counter) else torch.float32 for name, _ in entries}
    return Module({name: torch.zeros(shape, dtype=types[name]) for name, shape in entries}, buffers)


def fill(network: nn.Module, weights: Weights) -> None:
    network.load_state_dict(weights.fill(network.state_dict()))


def teacher_difference(teacher: nn.Module, student: nn.Module) -> float:
    """The sum of the L2 norms of the differences, without counters."""
    pairs = zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    return sum(float((a - b).norm()) for a, b in pairs if a.is_floating_point())
