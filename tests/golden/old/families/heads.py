"""Decode heads alone, on given features."""

import re

import torch
from torch import Tensor, nn

from ..cases import Case
from ..expressions import evaluate_series
from ..networks import build, head_config, head_settings, layout
from . import Results, family


@family('daformer', r'daformer_(\w+_)?head', 'segformer_head')
def multi_level_head(case: Case) -> Results:
    name = re.match(r'(\w+?)_head', case.name)[1]
    features = [torch.as_tensor(f) for f in evaluate_series(case.description('features'))]
    settings = _classes(case, 'logits_eval') | head_settings(case)
    head = build(head_config(name, [f.shape[1] for f in features], **settings), case)
    with torch.no_grad():
        results = {'logits_eval': head(features), 'params.keys': layout(head)}
        if case.params.get('train_mode'):
            results |= _after_one_training_forward(head, features)
    return results


def _after_one_training_forward(head: nn.Module, features: list[Tensor]) -> Results:
    """Logits with batch statistics and without dropout, and the running statistics afterwards."""
    head.train()
    head.dropout = None
    results = {'logits_train': head(features)}
    return results | {f'after.{name}': value for name, value in head.named_buffers()}


@family('daformer', r'dlv2(red)?_head')
def dlv2_head(case: Case) -> Results:
    name = re.match(r'dlv2(red)?', case.name)[0]
    feature = torch.as_tensor(case.input('feature'))
    settings = _classes(case, 'logits') | head_settings(case)
    head = build(head_config(name, [feature.shape[1]], in_index=0, **settings), case)
    with torch.no_grad():
        return {'logits': head([feature]), 'params.keys': layout(head)}


def _classes(case: Case, output: str) -> dict[str, int]:
    """The number of classes is that of the logits, where the case does not give it otherwise."""
    return {'num_classes': case.outputs[output].expected.shape[1]}
