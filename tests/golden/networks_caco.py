"""Networks of CaCo and ADVENT: our configs for their published names, and names of entries."""

import re
from typing import Any

from mmengine.config import Config

from tests.golden.networks import CONFIGS
from tests.golden.registry import Params, Unknown

CACO_NETWORKS: dict[str, dict] = {
    'deeplabv2_multilevel': {},
    'deeplabv2_multilevel_projector': dict(auxiliary_head=dict(type='Projector')),
}
DISCRIMINATOR = 'advent_discriminator'
SCHEDULE = 'sgd_poly_caco_120k'
# Our names -> published names; the first that matches applies.
NAMES = {
    r'^level_heads\.aux\.aspp_modules\.(\d+)\.conv\.': r'layer5.conv2d_list.\1.',
    r'^decode_head\.aspp_modules\.(\d+)\.conv\.': r'layer6.conv2d_list.\1.',
    r'^auxiliary_head\.': 'projector_1.',
    r'^backbone\.': '',
}
# Our convolutions of a discriminator -> their positions in the published list of layers.
LAYERS = {'conv1': 0, 'conv2': 2, 'conv3': 4, 'conv4': 6, 'classifier': 8}


def caco_config(network: str, num_classes: int = 19) -> dict[str, Any]:
    """Config of a network of CaCo.

    Raises:
        Unknown: there is no network of this name.
    """
    if network not in CACO_NETWORKS:
        raise Unknown(f'no network known here is called {network!r}')
    file = CONFIGS / '_base_' / 'models' / 'multi_level_r101.py'
    config = Config.fromfile(file).segmentor.to_dict()
    for head in (config['decode_head'], *config['level_heads'].values()):
        head['num_classes'] = num_classes
    return config | CACO_NETWORKS[network] | dict(pretrained=None)


def caco_name(name: str) -> str:
    """The published name of an entry of a multi-level network."""
    for pattern, published in NAMES.items():
        renamed, matches = re.subn(pattern, published, name)
        if matches:
            return renamed
    raise ValueError(f'{name} has no published name')


def discriminator_name(name: str) -> str:
    """The published name of an entry of ADVENT's discriminator."""
    module, entry = name.split('.')
    return f'{LAYERS[module]}.{entry}'


def schedule_config() -> Config:
    """Our config of the optimiser of all of ADVENT's and CaCo's first trainings."""
    return Config.fromfile(CONFIGS / '_base_' / 'schedules' / f'{SCHEDULE}.py')


def optimizer_section(params: Params) -> dict[str, Any]:
    """The section of the student's optimiser in our config, with the options of a case."""
    section = schedule_config().optim_wrapper.to_dict()
    options = ('lr', 'momentum', 'weight_decay', 'nesterov')
    section['optimizer'] |= {name: params[name] for name in options}
    section['optimizer']['accumulate_decay'] = params['decay_accumulates']
    if not params['repeated_visits']:
        for settings in section['paramwise_cfg']['custom_keys'].values():
            settings.pop('visits', None)
    return section
