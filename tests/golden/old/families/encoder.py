"""Encoders alone: every stage's output."""

import re

import torch

from ..cases import Case
from ..networks import build, encoder_config
from . import Results, family


@family('daformer', r'mit_b\d')
def mit(case: Case) -> Results:
    name = case.params.get('type') or re.match(r'mit_b\d', case.name)[0]
    config, _ = encoder_config(name, drop_path_rate=case.params.get('drop_path_rate', 0.1))
    return _stages(case, config)


@family('daformer', r'resnet\d+_v1c')
def resnet(case: Case) -> Results:
    name = re.match(r'resnet\d+_v1c', case.name)[0]
    names = 'depth', 'strides', 'dilations', 'contract_dilation'
    settings = {key: case.params[key] for key in names if key in case.params}
    depth = settings.pop('depth', name)
    config, _ = encoder_config(f'resnet{depth}', **settings)
    return _stages(case, config)


def _stages(case: Case, config: dict) -> Results:
    encoder = build(config, case)
    encoder.train(case.params.get('mode', 'eval') == 'train')
    with torch.no_grad():
        maps = encoder(torch.as_tensor(case.input('image')))
    return {f'out{i}': stage for i, stage in enumerate(maps)}
