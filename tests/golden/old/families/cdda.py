"""CDDA's functions: similarity search, re-weighting, relabelling, guidance loss, thresholds."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.models.data_preprocessor import DomainBatch
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.cdda import CDDA
from mmseg_uda.uda.depth_alignment import guidance_loss
from mmseg_uda.uda.depth_similarity import (
    class_cosine,
    class_distance,
    class_similarities,
    distribution_tables,
)
from mmseg_uda.uda.pseudo_labels import PseudoLabels

from ..cases import Case, read_cases
from ..expressions import evaluate
from . import Results, family
from .functions import label_maps, tensor

SYNTHIA_LACKS = (9, 14, 16)
ROUNDING = 5e-7  # of 2 - (1 + soft labels) in float32, as published


class GivenBank:
    """A bank in memory: tables (N, C, D), and crops if there are any."""

    def __init__(self, counts: np.ndarray, images: np.ndarray = (), maps: np.ndarray = ()) -> None:
        self.counts = np.ascontiguousarray(counts.swapaxes(0, 1), np.float32)
        self.images, self.maps = images, maps
        self.crop_size = None

    def check(self, crop_size: tuple[int, int], num_classes: int) -> None:
        assert num_classes == len(self.counts)

    def crop(self, row: int) -> tuple[Tensor, Tensor]:
        return tensor(self.images[row]).permute(2, 0, 1), tensor(self.maps[row])


def build_part(bank: GivenBank, **options) -> CDDA:
    with patch.object(DepthBank, 'open', return_value=bank):
        part = CDDA('given', **options)
    part.set_up(SimpleNamespace(num_classes=len(bank.counts)))
    return part


def lineage(case: Case) -> list[Case]:
    """The case, the one whose inputs it takes, the one whose inputs that one takes, and so on."""
    cases = [case]
    while named := re.search(r'case "(\w+)"', str(cases[-1].entry.get('inputs'))):
        cases += [other for other in read_cases(case.folder) if other.name == named[1]]
    return cases


def given(case: Case, name: str) -> np.ndarray | None:
    """An input array of the case or of its lineage."""
    for ancestor in lineage(case):
        if name in ancestor.entry['arrays']:
            return ancestor.array(name)
    return None


def images(array: np.ndarray) -> Tensor:
    """(H, W) or (B, H, W) -> (B, H, W)."""
    return tensor(array.reshape(-1, *array.shape[-2:]))


def problem(case: Case) -> tuple[GivenBank, Tensor, Tensor]:
    """Bank, pseudo-labels and depths."""
    bank, labels, depth = (
        given(case, name) for name in ('in_bank_counts', 'in_pseudo_label', 'in_target_depth')
    )
    return GivenBank(bank), images(labels).long(), images(depth)


def options(params: dict, published: bool) -> dict:
    """The part's options for a case, in the published or the documented behaviour."""
    return dict(
        reweight_threshold=params['reweight_threshold'],
        relabel_threshold=params['relabel_threshold'],
        threshold_decay=params.get('threshold_decay', 0),
        reweight_mask='first_row' if published else 'class',
        guidance_switch='last' if published else 'any',
        skip_classes=SYNTHIA_LACKS if params['dataset'] == 'synthia' else (),
    )


@family('cdda', 'similarity')
def similarity(case: Case) -> Results:
    bank, labels, depth = problem(case)
    counts = tensor(bank.counts)
    part = build_part(bank, reweight_threshold=1, relabel_threshold=1)
    tables = distribution_tables(labels, depth, len(counts))
    match = part.similarity.search(tables)
    present = tables.sum(-1) > 0
    by_class = tables.transpose(0, 1)
    per_class = class_similarities(counts.transpose(0, 1), tables.unsqueeze(1))
    return {
        'int_target_counts': tables,
        'int_image_cosine': class_cosine(part.similarity.pixels.T, tables.sum(-1)).T,
        'int_class_cosine': class_cosine(counts, by_class).permute(2, 1, 0),
        'int_class_l1': class_distance(counts, by_class).permute(2, 1, 0),
        'out_class_similarity': per_class * present.unsqueeze(1),
        'out_image_similarity': part.similarity.image_similarities(tables),
        'out_best_index': match.rows,
        'out_mean_similarity': match.similarity,
        'out_present_classes': present.sum(1),
    }


@dataclass
class Refined:
    """A part that has looked at the case's target images, and what it made of them."""

    part: CDDA
    labels: Tensor
    depth: Tensor
    weight: Tensor

    @property
    def soft_labels(self) -> Tensor:
        return soft_labels(self.part.guidance.soft, self.labels, self.depth)


def soft_labels(soft: Tensor, labels: Tensor, depth: Tensor) -> Tensor:
    """One-hot pseudo-labels (B, H, W) with ``soft`` (B, C, D) of the missing: (B, H, W, C)."""
    classes = soft.shape[1]
    hot = F.one_hot(labels.where(labels < classes, classes), classes + 1)[..., :-1]
    pairs = zip(soft.transpose(1, 2), depth.long(), strict=True)
    return hot + torch.stack([table[bins] for table, bins in pairs])


def refine(case: Case, published: bool) -> Refined:
    bank, labels, depth = problem(case)
    params = next(ancestor.params for ancestor in lineage(case) if ancestor.params)
    part = build_part(bank, **options(params, published))
    weight, confident = given(case, 'in_weight'), given(case, 'in_confident')
    if confident is None:
        confident = np.zeros(labels.numel() // 8, np.uint8)
    confident = tensor(np.unpackbits(confident).reshape(labels.shape)) > 0
    pseudo = PseudoLabels(
        labels,
        torch.full_like(depth, 1 if weight is None else weight.flat[0]),
        torch.where(confident, 1.0, 0.0),
    )
    step = SimpleNamespace(
        batch=SimpleNamespace(target=DomainBatch(depth.unsqueeze(1), depth=depth)),
        iteration=0,
        parts=(part,),
        teacher=SimpleNamespace(threshold=0.5),
    )
    return Refined(part, labels, depth, part.refine(step, pseudo).weight)


@family('cdda', 'reweight')
def reweight(case: Case) -> Results:
    first_row, by_class = refine(case, published=True), refine(case, published=False)
    return {
        'out_weight_first_row': first_row.weight,
        'out_weight_classwise': by_class.weight,
        'out_replacement': by_class.part.replacements,
    }


@family('cdda', 'relabel')
def relabel(case: Case) -> Results:
    last, any_ = refine(case, published=True), refine(case, published=False)
    flags = case.array('int_class_flags')
    overlap = last.part.guidance.soft[flags[:, 0], flags[:, 1]].sum(1) > 0
    results = {
        'int_class_flags': np.column_stack((flags[:, :2], overlap)),
        'out_flag_last': last.part.guidance.due,
        'out_flag_any': any_.part.guidance.due,
        'out_soft_label_sum_per_class': last.soft_labels.sum((1, 2)),
        'out_guidance_weight': last.part.guidance.weight.unique(),
    }
    if 'out_soft_index' in case.entry['arrays']:
        changed = last.part.guidance.soft.sum(2) > 0
        soft = last.soft_labels * changed[:, None, None]
        results['out_soft_index'] = soft.nonzero()
        results['out_soft_value'] = soft[tuple(soft.nonzero().T)]
    return results


@family('cdda', 'guidance_loss')
def guidance(case: Case) -> Results:
    refined = refine(case, published=True)
    words = case.entry['inputs']
    named = re.search(r'images (\d+)\.\.(\d+)', words)
    chosen = slice(int(named[1]), int(named[2]) + 1) if named else slice(None)
    labels, depth = refined.labels[chosen], refined.depth[chosen]
    soft = refined.part.guidance.soft[chosen]
    logits = tensor(evaluate(re.search(r'logits = (.*?\))', words)[1])).requires_grad_()
    weight = tensor(case.array('in_weight'))
    weight = weight.expand_as(depth) if weight.numel() == 1 else weight
    loss = guidance_loss(upscale(logits, labels.shape[1:]), labels, depth, soft, weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    step = int(re.search(r'every (\d+)(?:st|nd|rd|th) row and column', case.text)[1])

    label = completed_labels(labels, depth, soft)
    # What soft labels leave of 1 is not 0 where they add up to it but for the rounding.
    listed = torch.zeros_like(label, dtype=torch.bool)
    listed[tuple(tensor(case.array('out_label_index')).long().T)] = True
    index = (listed | (label.abs() > ROUNDING)).nonzero()
    value = label[tuple(index.T)]
    return {
        'out_loss': loss,
        'out_grad': gradient[..., ::step, ::step],
        'out_label_index': index,
        'out_label_value': value,
        'noise.out_label_value': ROUNDING * (value.abs() <= ROUNDING),
    }


def completed_labels(labels: Tensor, depth: Tensor, soft: Tensor) -> Tensor:
    """The labels (B, H, W, C) that the loss takes: its gradient at equal logits tells."""
    classes = soft.shape[1]
    logits = torch.zeros(len(labels), classes, *labels.shape[1:], dtype=torch.float64)
    weight = torch.full_like(depth, labels.numel(), dtype=torch.float64)
    loss = guidance_loss(logits.requires_grad_(), labels, depth, soft.double(), weight)
    (gradient,) = torch.autograd.grad(loss, logits)
    other = -gradient.amax(1, keepdim=True)  # of a class without a label: total / classes
    label = -gradient - other
    return label.movedim(1, -1)


@family('cdda', 'thresholds')
def thresholds(case: Case) -> Results:
    """The thresholds of the configs that the outputs are named after."""
    configs = Path(__file__).parents[3] / 'configs' / 'cdda'
    results = {}
    for name in case.outputs:
        source, host = re.fullmatch(r'out_(gta|synthia)_(daformer|hrda|mic)', name).groups()
        config = Config.fromfile(configs / f'cdda_{host}_mitb5_{source}2cs.py')
        settings = {k: v for k, v in config.model.parts.cdda.items() if k not in ('type', 'bank')}
        part = build_part(GivenBank(np.zeros((1, 19, 1))), **settings)
        results[name] = [part.thresholds(int(i)) for i in case.array('in_iteration')]
    return results


@family('cdda', 'replacement')
def replacement(case: Case) -> Results:
    images, labels = (
        evaluate(re.search(rf'fill\.{kind}\([^)]*\)', case.entry['inputs'])[0])
        for kind in ('image', 'labels')
    )
    source = DomainBatch(tensor(images), label_maps(labels))
    stored = case.array('in_stored_rgb'), case.array('in_stored_label')
    bank = GivenBank(np.ones((len(stored[0]), 19, 1)), *stored)
    part = build_part(bank, reweight_threshold=1, relabel_threshold=1)
    mean, std = (
        torch.tensor(json.loads('[' + re.search(rf'{word} \(([\d., ]+)\)', case.text)[1] + ']'))
        for word in ('mean', 'std')
    )
    step = SimpleNamespace(pasted=source, mean=mean.view(3, 1, 1), std=std.view(3, 1, 1))
    pasted = part.replace_source(step, case.array('in_index').tolist())
    return {'out_image': pasted.images, 'out_label': pasted.labels.unsqueeze(1)}
