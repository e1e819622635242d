"""CDDA's functions: similarity search, re-weighting, relabelling, guidance loss, thresholds."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.addons.cdda import CDDA
from mmseg_uda.uda.components.depth_alignment import reweight_by_class, reweight_by_first_row
from mmseg_uda.uda.components.depth_guidance import any_pair, guidance_loss, last_pair
from mmseg_uda.uda.components.depth_similarity import (
    class_cosine,
    class_distance,
    class_similarities,
    distribution_tables,
)
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from tests.golden.networks import CONFIGS
from tests.golden.registry import Params, Results, golden, label_maps, tensor

PUBLISHED, DOCUMENTED = dict(as_published=True), dict(as_published=False)


class GivenBank:
    """Bank in memory: tables (N, C, D), and optional crops."""

    def __init__(self, counts: np.ndarray, images: Any = (), maps: Any = ()) -> None:
        self.counts = np.ascontiguousarray(counts.swapaxes(0, 1), np.float32)
        self.images, self.maps = images, maps
        self.crop_size = None

    def check(self, crop_size: tuple[int, int], num_classes: int) -> None:
        assert num_classes == len(self.counts)

    def crop(self, row: int) -> tuple[Tensor, Tensor]:
        return tensor(self.images[row]).permute(2, 0, 1), label_maps(self.maps[row])


@MODELS.register_module()
class CDDAVariant(CDDA):
    """CDDA with the two differences between paper and published code apart.

    Args:
        reweight_mask: 'class', or as published 'first_row'.
        guidance_switch: 'any', or as published 'last'.
        options: of :class:`CDDA`.
    """

    def __init__(self, bank: Any, reweight_mask: str, guidance_switch: str, **options: Any) -> None:
        super().__init__(bank, **options)
        masks = {'class': reweight_by_class, 'first_row': reweight_by_first_row}
        self.reweight_pixels = masks[reweight_mask]
        self.guidance_switch = {'any': any_pair, 'last': last_pair}[guidance_switch]


def build_addon(bank: GivenBank, **options: Any) -> CDDA:
    with patch.object(DepthBank, 'open', return_value=bank):
        addon = CDDA('given', **options)
    addon.set_up(SimpleNamespace(num_classes=len(bank.counts)))
    return addon


@golden('similarity')
def similarity(params: Params, inputs: Params) -> Results:
    bank = GivenBank(inputs['bank'])
    addon = build_addon(bank, reweight_threshold=1, relabel_threshold=1)
    labels, depth = label_maps(inputs['pseudo_labels']), tensor(inputs['depth'])
    tables = distribution_tables(labels, depth, params['num_classes'])
    match = addon.similarity.search(tables)
    counts, by_class, present = tensor(bank.counts), tables.transpose(0, 1), tables.sum(-1) > 0
    per_class = class_similarities(counts.transpose(0, 1), tables.unsqueeze(1))
    return {
        'target_counts': tables,
        'image_cosine': class_cosine(addon.similarity.pixels.T, tables.sum(-1)).T,
        'class_cosine': class_cosine(counts, by_class).permute(2, 1, 0),
        'class_l1': class_distance(counts, by_class).permute(2, 1, 0),
        'class_similarity': per_class * present.unsqueeze(1),
        'image_similarity': addon.similarity.image_similarities(tables),
        'best': match.rows,
        'mean_similarity': match.similarity,
        'present_classes': present.sum(1),
    }


class Refined:
    """The add-on after processing the case's target images, and its results."""

    def __init__(self, params: Params, inputs: Params, behaviour: dict[str, bool]) -> None:
        self.labels = label_maps(inputs['pseudo_labels'])
        self.depth = tensor(inputs['depth'])
        options = {
            name: params[name]
            for name in ('reweight_threshold', 'relabel_threshold', 'skip_classes')
        }
        self.addon = build_addon(GivenBank(inputs['bank']), **options, **behaviour)
        assert self.addon.num_classes == params['num_classes']
        confidence = tensor(inputs['confident']).float()
        step = SimpleNamespace(
            batch=SimpleNamespace(target=DomainBatch(self.depth.unsqueeze(1), depth=self.depth)),
            iteration=0,
            addons=(self.addon,),
            teacher=SimpleNamespace(threshold=0.5),
        )
        pseudo = PseudoLabels(self.labels, tensor(inputs['weight']), confidence)
        self.weight = self.addon.reweight(step, pseudo).weight


def soft_labels(soft: Tensor, labels: Tensor, depth: Tensor) -> Tensor:
    """Soft labels (B, H, W, C): one-hot pseudo-labels and ``soft`` (B, C, D) of missing classes."""
    classes = soft.shape[1]
    hot = F.one_hot(labels.where(labels < classes, classes), classes + 1)[..., :-1]
    pairs = zip(soft.transpose(1, 2), depth.long(), strict=True)
    return hot + torch.stack([table[bins] for table, bins in pairs])


@golden('reweight')
def reweight(params: Params, inputs: Params) -> Results:
    first_row, by_class = (Refined(params, inputs, form) for form in (PUBLISHED, DOCUMENTED))
    return {
        'weight_first_row': first_row.weight,
        'weight_classwise': by_class.weight,
        'replacement': by_class.addon.replacements,
    }


@golden('relabel')
def relabel(params: Params, inputs: Params) -> Results:
    last, any_ = (Refined(params, inputs, form) for form in (PUBLISHED, DOCUMENTED))
    soft = soft_labels(last.addon.guidance.soft, last.labels, last.depth)
    return {
        'flag_last': bool(last.addon.guidance.due),
        'flag_any': bool(any_.addon.guidance.due),
        'class_flags': class_flags(params, inputs),
        'soft_labels': soft,
        'soft_label_sum': soft.sum((1, 2)),
        'guidance_weight': last.addon.guidance.weight.unique().item(),
    }


def class_flags(params: Params, inputs: Params) -> list[tuple[int, int, int]]:
    """Rows (image, missing class, whether a pixel of the image gets a soft label of it)."""
    with (
        patch('mmseg_uda.uda.addons.cdda.last_pair', wraps=last_pair) as switch,
        patch('mmseg_uda.uda.components.depth_guidance.last_pair', switch),
    ):
        Refined(params, inputs, PUBLISHED)
    missing, overlap = switch.call_args.args
    return [(*pair, int(overlap[pair])) for pair in map(tuple, missing.nonzero().tolist())]


@golden('guidance_loss')
def guidance(params: Params, inputs: Params) -> Results:
    refined, images = Refined(params, inputs, PUBLISHED), slice(params['images'])
    labels, depth = refined.labels[images], refined.depth[images]
    soft, weight = refined.addon.guidance.soft[images], tensor(inputs['loss_weight'])
    logits = tensor(inputs['logits']).requires_grad_()
    loss = guidance_loss(upscale(logits, labels.shape[1:]), labels, depth, soft, weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    return {'loss': loss, 'gradient': gradient, 'labels': completed_labels(labels, depth, soft)}


def completed_labels(labels: Tensor, depth: Tensor, soft: Tensor) -> Tensor:
    """Labels (B, H, W, C) used by the loss, recovered from its gradient at equal logits."""
    classes = soft.shape[1]
    logits = torch.zeros(len(labels), classes, *labels.shape[1:], dtype=torch.float64)
    weight = torch.full_like(depth, labels.numel(), dtype=torch.float64)
    loss = guidance_loss(logits.requires_grad_(), labels, depth, soft.double(), weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    other = -gradient.amax(1, keepdim=True)  # of a class without a label: total / classes
    return (-gradient - other).movedim(1, -1)


@golden('thresholds')
def thresholds(params: Params, inputs: Params) -> Results:
    results = {}
    for name in params['configs']:
        source, host = name.split('_')
        config = Config.fromfile(CONFIGS / 'cdda' / f'cdda_{host}_mitb5_{source}2cs.py')
        settings = {k: v for k, v in config.model.addons.cdda.items() if k not in ('type', 'bank')}
        addon = build_addon(GivenBank(np.zeros((1, 19, 1))), **settings)
        results[name] = [addon.thresholds(iteration) for iteration in params['iterations']]
    return {'thresholds': results}


@golden('replace_source')
def replaced(params: Params, inputs: Params) -> Results:
    source = DomainBatch(tensor(inputs['images']), label_maps(inputs['labels']))
    stored = inputs['stored_images'], inputs['stored_labels']
    bank = GivenBank(np.ones((len(stored[0]), 19, 1)), *stored)
    addon = build_addon(bank, reweight_threshold=1, relabel_threshold=1)
    mean, std = (torch.tensor(params[name]).view(3, 1, 1) for name in ('mean', 'std'))
    step = SimpleNamespace(pasted=source, mean=mean, std=std)
    pasted = addon.replace_source(step, params['index'])
    return {'images': pasted.images, 'labels': pasted.labels}
