"""DA-SAC's networks: our configs for their published names, and the published names of entries."""

import re

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models import Segmentor
from tests.golden.inputs import Weights
from tests.golden.networks import CONFIGS, filled
from tests.golden.registry import Unsupported

DASAC_NETWORKS = {
    'deeplabv2_resnet101': 'dasac_r101',
    'deeplabv2_vgg16_bn': 'dasac_vgg16',
    'fcn_vgg16_bn': 'dasac_fcn8',
}
# Type of the backbone -> config of the optimiser.
SCHEDULES = {
    'CaffeResNet': 'sgd_constant_dasac',
    'DilatedVGG16BN': 'sgd_constant_dasac_vgg16',
    'VGG16BNPools': 'sgd_constant_dasac_fcn8',
}
BRANCH = r'^decode_head\.aspp_modules\.(\d+)\.conv\.'
# Type of the backbone -> patterns of our names and their published form; the first match applies.
NAMES = {
    'CaffeResNet': {BRANCH: r'model.layer5.conv2d_list.\1.', r'^backbone\.': 'model.'},
    'DilatedVGG16BN': {BRANCH: r'classifier.conv2d_list.\1.', r'^backbone\.': 'features.'},
    'VGG16BNPools': {
        r'^backbone\.(\d|1\d|2[0-3])\b': r'block1.\1',
        r'^backbone\.(2[4-9]|3[0-3])\b': r'block2.\1',
        r'^backbone\.(3[4-9]|4[0-3])\b': r'block3.\1',
        r'^decode_head\.': '',
    },
}


def schedule_config(segmentor: nn.Module) -> Config:
    """Our config of the optimiser of a network of DA-SAC."""
    name = SCHEDULES[type(segmentor.backbone).__name__]
    return Config.fromfile(CONFIGS / '_base_' / 'schedules' / f'{name}.py')


def dasac_config(network: str, num_classes: int) -> dict:
    """Config of a network of DA-SAC without dropout, as in the golden cases.

    Raises:
        Unsupported: there is no network of this name.
    """
    if network not in DASAC_NETWORKS:
        raise Unsupported(f'no network known here is called {network!r}')
    file = CONFIGS / '_base_' / 'models' / f'{DASAC_NETWORKS[network]}.py'
    config = Config.fromfile(file).segmentor.to_dict()
    config['decode_head']['num_classes'] = num_classes
    if config['decode_head']['type'] == 'FCN8Head':
        config['decode_head']['dropout_ratio'] = 0.0
    return config | dict(pretrained=None)


def empty_network(network: str, num_classes: int = 19) -> Segmentor:
    """A network of DA-SAC whose weights have no values yet."""
    with torch.device('meta'):
        segmentor = MODELS.build(dasac_config(network, num_classes))
    return segmentor.to_empty(device='cpu')


def dasac_name(segmentor: nn.Module, name: str) -> str:
    """The published name of an entry or a module of a network of DA-SAC."""
    for pattern, published in NAMES[type(segmentor.backbone).__name__].items():
        renamed, matches = re.subn(pattern, published, name)
        if matches:
            return renamed
    raise ValueError(f'{name} has no published name')


def published_state(segmentor: nn.Module, weights: Weights) -> dict[str, Tensor]:
    """Values of the case for all entries of a network, by their published names, in order."""
    entries = segmentor.state_dict().items()
    return dict(filled({dasac_name(segmentor, name): entry for name, entry in entries}, weights))
