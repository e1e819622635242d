"""Pseudo-labels, reduced label maps, block masks, feature distance."""

import torch
from torch import Tensor

from mmseg_uda.uda.addons.feature_distance import feature_distance
from mmseg_uda.uda.addons.mic import block_grid, block_mask
from mmseg_uda.uda.components.pseudo_labels import confident_labels, ignore_margins, pseudo_labels
from mmseg_uda.uda.components.reduce_labels import (
    IGNORE,
    nearest_labels,
    reduce_labels,
)
from tests.golden.registry import Params, Results, golden, label_maps, tensor


@golden('pseudo_labels')
def weighted_labels(params: Params, inputs: Params) -> Results:
    pseudo = pseudo_labels(tensor(inputs['logits']).softmax(1), params['threshold'])
    weight = ignore_margins(pseudo.weight, params['ignore_top'], params['ignore_bottom'])
    if 'valid' in inputs:
        weight = weight * tensor(inputs['valid']).view_as(weight)
    return {
        'labels': pseudo.labels,
        'share': pseudo.weight.flatten()[0],
        'weight': weight,
        'labels_for_contrast': pseudo.labels.masked_fill(weight == 0, IGNORE),
    }


@golden('confident_labels')
def sure_labels(params: Params, inputs: Params) -> Results:
    return {'labels': confident_labels(tensor(inputs['logits']), params['threshold'])}


@golden('nearest_labels')
def nearest(params: Params, inputs: Params) -> Results:
    return {'labels': nearest_labels(label_maps(inputs['labels']), tuple(params['size']))}


@golden('reduce_labels')
def reduced(params: Params, inputs: Params) -> Results:
    return {'labels_small': small_labels(params, inputs)}


def small_labels(params: Params, inputs: Params) -> Tensor:
    """Labels of cells of ``factor`` pixels, without what remains of the image."""
    labels, factor = label_maps(inputs['labels']), params['factor']
    size = [side // factor for side in labels.shape[1:]]
    labels = labels[:, : size[0] * factor, : size[1] * factor]
    return reduce_labels(labels, size, params['num_classes'], params['min_ratio'])


@golden('labelled_rows')
def labelled_rows(params: Params, inputs: Params) -> Results:
    cells, labels = tensor(inputs['features']), label_maps(inputs['labels'])
    options = params['num_classes'], params['min_ratio']
    small = reduce_labels(labels, cells.shape[2:], *options).flatten()
    rows = cells.flatten(2).transpose(1, 2).flatten(0, 1)
    return {'rows': rows[small != IGNORE], 'labels': small[small != IGNORE]}


@golden('block_mask')
def masked(params: Params, inputs: Params) -> Results:
    images, ratio = tensor(inputs['images']), params['mask_ratio']
    size = tuple(images.shape[2:])
    mask = block_mask(tensor(inputs['grid_draws']), ratio, size)
    grid = block_grid(size, params['block_size'])
    generator = torch.Generator().manual_seed(params['torch_seed'])
    draws = torch.rand(params['drawn_images'], 1, *grid, generator=generator)
    return {
        'mask': mask,
        'masked_images': images * mask,
        'grid': grid,
        'kept_share': block_mask(draws, ratio, size).mean(),
    }


@golden('feature_distance')
def distance(params: Params, inputs: Params) -> Results:
    features, reference = (tensor(inputs[name]) for name in ('features', 'reference'))
    features.requires_grad_()
    results, mask = {}, None
    if 'labels' in inputs:
        results['labels_small'] = small = small_labels(params, inputs)
        mask = torch.ones_like(small, dtype=torch.bool)
        if params['classes'] is not None:
            mask = torch.isin(small, torch.tensor(params['classes']))
    elif 'mask' in inputs:
        mask = tensor(inputs['mask']).bool()
    value = feature_distance(features, reference, mask)
    (gradient,) = torch.autograd.grad(params['weight'] * value, features)
    return results | {
        'mask': mask,
        'distance': value,
        'distance_without_mask': feature_distance(features, reference, None),
        'gradient': gradient,
    }
