"""Complete training steps with CDDA on its three hosts, in both behaviours."""

import json
import re
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import Tensor

import mmseg_uda.register  # noqa: F401 - registers methods and their parts
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.models.data_preprocessor import DomainBatch, UDABatch
from mmseg_uda.uda.method import UDAMethod

from ..cases import Case
from ..compare import as_array, share_of_outliers
from ..expressions import evaluate
from ..fill import fill_array
from ..networks import hrda_config, segmentor_config
from . import Results, family
from .cdda import GivenBank, options, soft_labels
from .functions import tensor
from .masked_steps import GivenDraws
from .optim import optim_wrapper
from .steps import norm, published_names, record_calls


@family('cdda', 'train_')
def training_steps(case: Case) -> Results:
    published, documented = run(case, published=True), run(case, published=False)
    results = published | {
        'steps_documented': documented['steps'],
        'out_norm_model_documented': documented['out_norm_model'],
        **{
            name.replace('weight', 'weight_documented'): value
            for name, value in documented.items()
            if name.startswith('int_weight')
        },
    }
    return results | noise(case, results)


def noise(case: Case, results: Results) -> Results:
    """What follows from pixels that the case lets differ, and from similarities that move so."""
    tolerance = case.entry['tolerance']
    similarity = tolerance['mean_similarity']['atol']
    pixels = share_of_outliers(str(tolerance)) * case.params['crop'] ** 2
    sizes = {'weight': similarity / (0.75 - 0.1), 'soft_label_sum': pixels}
    return {
        f'noise.{name}': np.full(as_array(value).shape, size)
        for name, value in results.items()
        for word, size in sizes.items()
        if name.startswith('int_') and word in name
    }


def run(case: Case, published: bool) -> Results:
    """Steps of the method, all at the learning rate of the case."""
    inputs = Inputs(case)
    method = build_method(case, inputs.bank(), published)
    names = published_names(method)
    with torch.no_grad():
        for name, entry in names.items():
            entry.copy_(tensor(fill_array(name, entry.shape, case.params['fill_seed'])))
    rate = float(re.search(r'SGD lr ([\d.e-]+)', case.params['optimizer'])[1])
    wrapper = optim_wrapper(method, dict(type='SGD', lr=rate))
    method.iteration = case.params['start_iteration']
    method.train()

    results: Results = {'steps': []}
    for number, listed in enumerate(case.entry['steps']):
        seen = observe(method)
        calls = record_calls(method.student)
        method.draw = partial(GivenDraws, inputs.draws(number))
        boxes = map(tuple, listed['crop_boxes'])
        with (
            patch('mmseg_uda.uda.self_training.class_mask', return_value=inputs.mask(number)),
            patch('mmseg_uda.models.hrda.random_detail_box', lambda *_, boxes=boxes: next(boxes)),
        ):
            logs = method.backward_passes(inputs.batch(number), wrapper)
        wrapper.step()
        wrapper.zero_grad()
        step = {
            'iteration': method.iteration,
            'losses': {name: float(logs[name]) for name in logs if name != 'loss'},
            **seen.pop('figures'),
            'guidance': 'tgt.loss' in logs,
            'crop_boxes': listed['crop_boxes'],
        }
        results['steps'].append(step)
        _, label, weight = calls[1]
        seen |= {'int_mixed_label': label.unsqueeze(1), 'int_mixed_weight': weight}
        results |= {f'{name}_{number}': value for name, value in seen.items()}
        method.iteration += 1

    for prefix in ('model', 'ema_model'):
        norms = [norm([v]) for name, v in names.items() if name.startswith(f'{prefix}.')]
        results[f'out_norm_{prefix.removesuffix("_model")}'] = norms
    (bias,) = (
        v
        for n, v in names.items()
        if re.fullmatch(r'model\.decode_head\.(head\.)?conv_seg\.bias', n)
    )
    return results | {'out_conv_seg_bias': bias}


def observe(method: UDAMethod) -> dict[str, Any]:
    """Fills while a step runs: what the part got and made."""
    part, seen = method.parts['cdda'], {}
    refine, search = type(part).refine, type(part.similarity).search

    def recording_search(tables: Tensor) -> Any:
        match = search(part.similarity, tables)
        seen['figures'] = {
            'best_index': match.rows.tolist(),
            'mean_similarity': match.similarity.tolist(),
            'present_classes': (tables.sum(-1) > 0).sum(1).tolist(),
        }
        return match

    def recording_refine(step: Any, pseudo: Any) -> Any:
        better = refine(part, step, pseudo)
        seen['int_pseudo_label'] = pseudo.labels
        seen['int_weight'] = better.weight
        seen['int_soft_label_sum'] = soft_labels(
            part.guidance.soft, pseudo.labels, step.batch.target.depth
        ).sum((1, 2))
        seen['figures'] |= {
            'uniform_weight': float(pseudo.weight[0, 0, 0]),
            'replacement': part.replacements.tolist(),
            'thresholds': list(part.thresholds(step.iteration)),
        }
        return better

    part.refine, part.similarity.search = recording_refine, recording_search
    return seen


class Inputs:
    """The inputs that a case describes in lines of words, formulas in T, n, k, s and i."""

    def __init__(self, case: Case) -> None:
        self.case = case
        (first,) = re.findall(r'k = (\d+) \+ s, T = "(\w+)", n = (\d+)', '\n'.join(self.lines))
        self.seed, self.variables = int(first[0]), {'T': first[1], 'n': int(first[2])}

    @property
    def lines(self) -> list[str]:
        return self.case.entry['inputs']

    def described(self, beginning: str, **variables: int) -> np.ndarray:
        """The formula that follows ``beginning`` in one of the lines."""
        (text,) = (line.split(beginning, 1)[1] for line in self.lines if beginning in line)
        return evaluate(text.split(';')[0], self.variables | variables)

    def batch(self, s: int) -> UDABatch:
        k = self.seed + s
        table = json.loads(re.search(r'class table (\[[\d,]+\])', '\n'.join(self.lines))[1])
        table = np.array(table + [255] * (256 - len(table)))
        labels = table[self.described('source label: q = ', k=k)][:, 0]
        target = tensor(self.described('target image ', k=k)).float()
        depth = tensor(self.case.array(f'in_target_depth_{s}')).float()
        source = DomainBatch(tensor(self.described('source image ', k=k)), tensor(labels))
        return UDABatch(source, DomainBatch(target, valid=self.valid(), depth=depth))

    def valid(self) -> Tensor | None:
        """``... ones, except 0 in: image 0 rows 0..7; image 1 last 20 rows and columns 0..5``."""
        words = self.case.params['margins']
        if not isinstance(words, str):
            return None
        size = self.case.params['crop']
        mask = torch.ones(2, size, size)
        for image, lines in re.findall(r'image (\d+) ([^;]+)', words):
            for axis, first, last in re.findall(r'(row|column)s (\d+)\.\.(\d+)', lines):
                mask[int(image)].transpose(0, int(axis == 'column'))[int(first) : int(last) + 1] = 0
            for number, axis in re.findall(r'last (\d+) (row|column)s', lines):
                mask[int(image)].transpose(0, int(axis == 'column'))[-int(number) :] = 0
        return mask

    def mask(self, s: int) -> Tensor:
        size = self.variables['n']
        bits = np.unpackbits(self.case.array(f'in_mix_mask_{s}'))
        return tensor(bits.reshape(-1, size, size)) > 0

    def draws(self, s: int) -> dict:
        """No class is drawn, because the mask is given; MIC's numbers are its mask."""
        listed = {'classes': [[], []]}
        name = f'in_block_mask_{s}'
        if name in self.case.entry['arrays']:
            listed['grids'] = [self.case.array(name).astype(np.float32).tolist()]
        return listed

    def bank(self) -> GivenBank:
        rows = self.case.params['bank_rows']
        counts = np.zeros((rows, 19, 256), np.float32)
        counts[tuple(self.case.array('in_bank_index').T)] = self.case.array('in_bank_value')
        rgb = [self.described('RGB = uint8', i=i).astype(np.uint8) for i in range(rows)]
        maps = [self.described('; label = ', i=i) for i in range(rows)]
        return GivenBank(counts, rgb, maps)


def build_method(case: Case, bank: GivenBank, published: bool) -> UDAMethod:
    params = case.params
    distance, margins = params['imnet_feature_dist'], params['margins']
    parts = dict(
        feature_distance=dict(type='FeatureDistance', **distance),
        cdda=dict(type='CDDA', bank='given', **options(params, published)),
        margins=dict(type='ValidRegion')
        if isinstance(margins, str)
        else dict(type='IgnoreMargins', top=margins['ignore_top'], bottom=margins['ignore_bottom']),
    )
    if mic := params.get('mic'):
        parts['mic'] = dict(
            type='MaskedConsistency',
            mode=mic['mask_mode'],
            block_size=mic['mask_block_size'],
            ratio=mic['mask_ratio'],
            weight=mic['mask_lambda'],
            alpha=mic['alpha'],
            threshold=mic['pseudo_threshold'],
        )
    with patch.object(DepthBank, 'open', return_value=bank):
        return MODELS.build(
            dict(
                type='SelfTraining',
                segmentor=_segmentor(case.entry['network']),
                alpha=params['alpha'],
                threshold=params['pseudo_threshold'],
                parts=parts,
            )
        )


def _segmentor(network: dict) -> dict:
    """Config of ``{'backbone': 'mit_b0 (...), drop path 0', 'head': 'DAFormer head, ...'}``."""
    head = network['head']
    numbers = {
        name: int(re.search(pattern, head)[1])
        for name, pattern in (
            ('embed_dims', r'embed dims (\d+)'),
            ('channels', r'\bchannels (\d+)'),
            ('num_classes', r'(\d+) classes'),
        )
    }
    encoder = re.match(r'mit_b\d', network['backbone'])[0].replace('_', '')
    settings = numbers | {'dropout_ratio': 0}
    if 'hrda' in network:
        config = hrda_config(f'daformer_{encoder}', network['hrda'], **settings)
    else:
        config = segmentor_config(f'daformer_{encoder}', **settings)
    config['backbone']['drop_path_rate'] = 0
    return config
