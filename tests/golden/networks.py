"""Networks of golden cases: our configs for the names and options of the cases."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import mmseg.models  # noqa: F401 - registers ResNetV1c
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn

import mmseg_uda.register  # noqa: F401 - registers ours
from mmseg_uda.models.backbones.mit import ARCHITECTURES
from tests.golden.inputs import Weights
from tests.golden.registry import Params, Unsupported, plain, refuse

DAFORMER_CHANNELS = 256
RESNET_CHANNELS = (256, 512, 1024, 2048)
RESNET_STAGES = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)
SDCA_NETWORKS = {
    'resnet101_frozenbn': 'sdca_r101',
    'resnet101_bn': 'sdca_r101_bn',
    'vgg16': 'sdca_vgg16',
}
CONFIGS = Path(__file__).parents[2] / 'configs'
WHOLE = (2**20, 2**20)  # larger than any image
FUSIONS = {name: name for name in ('sep_aspp', 'aspp', 'conv1', 'isa')} | {
    'bottleneck': 'sep_aspp_f4'
}


def encoder_config(name: str, **settings: Any) -> tuple[dict, Sequence[int]]:
    """Config and channels of ``mit_b0`` ... ``mit_b5``, ``resnet50_v1c``, ``resnet101_v1c``."""
    if mit := re.fullmatch(r'mit_(b\d)', name):
        return dict(type='MiT', arch=mit[1], **settings), ARCHITECTURES[mit[1]].dims
    if resnet := re.fullmatch(r'resnet(50|101|152)_v1c', name):
        layout = RESNET_STAGES | settings
        return dict(type='ResNetV1c', depth=int(resnet[1]), **layout), RESNET_CHANNELS
    raise Unsupported(f'no encoder known here is called {name!r}')


def head_config(params: Params, in_channels: Sequence[int]) -> dict:
    """Config of the head ``params['head']`` with its options."""
    kind, classes = params['head'], dict(num_classes=params['num_classes'])
    if kind == 'dlv2':
        refuse(params, 'dropout_ratio')
        place = dict(in_channels=in_channels[-1], in_index=len(in_channels) - 1)
        return dict(type='DLV2Head', dilations=params['dilations'], **place, **classes)
    if kind == 'segformer':
        settings = params.given('embed_dims', 'dropout_ratio')
        return dict(type='AllMLPHead', in_channels=in_channels, **settings, **classes)
    if kind != 'daformer' or params['fusion'] not in FUSIONS:
        raise Unsupported(f'no head known here is called {kind!r}, {params["fusion"]!r}')
    settings = params.given('channels', 'embed_dims', 'dropout_ratio')
    keys = params.get('attention_channels')
    if keys is not None and keys != settings.get('channels', DAFORMER_CHANNELS):
        raise Unsupported(f'keys and queries of {keys} channels, ours have those of the head')
    fusion = FUSIONS[params['fusion']]
    return dict(type='DAFormerHead', in_channels=in_channels, fusion=fusion, **settings, **classes)


def segmentor_config(params: Params) -> dict:
    """Config of encoder and head, and of HRDA and a projection head if in ``params``.

    The neck that resizes the last map to the first one's size belongs to the "bottleneck" fusion.
    """
    settings = params.given('drop_path_rate')
    if params['encoder'].startswith('resnet'):
        refuse(params, 'drop_path_rate')
        settings = {}
    backbone, channels = encoder_config(params['encoder'], **settings)
    config = dict(type='Segmentor', backbone=backbone, decode_head=head_config(params, channels))
    if params.get('fusion') == 'bottleneck':
        config['neck'] = dict(type='UpscaleNeck', scales=(1, 1, 1, 8))
    if params.get('embedding') is not None:
        config['auxiliary_head'] = projection_config(params, channels)
    if params.get('class_weight') is not None:
        config['class_weight'] = plain(params['class_weight'])
    if params.get('hrda') is not None:
        config = hrda_config(config, params['hrda'])
    return config


def projection_config(params: Params, channels: Sequence[int]) -> dict:
    """The projection head of SePiCo: all levels of a MiT, the last stage of a ResNet."""
    fused = params['head'] == 'daformer'
    levels = (
        dict(in_channels=channels, in_index=[0, 1, 2, 3], input_transform='resize_concat')
        if fused
        else dict(in_channels=channels[-1], in_index=3)
    )
    return dict(type='ProjectionHead', channels=params['embedding'], **levels)


def hrda_config(segmentor: Mapping[str, Any], params: Params, **settings: Any) -> dict:
    """Config of HRDA with an ordinary segmentor."""
    context, detail = sorted(params['scales'])
    if detail != 1 or params['feature_scale'] not in (context, 'all'):
        raise Unsupported(f'HRDA: scales {params["scales"]}, features {params["feature_scale"]}')
    head = dict(
        type='HRDAHead',
        head=segmentor['decode_head'],
        attention_classwise=params['attention_classwise'],
        fixed_attention=params['fixed_attention'],
        **params.given('attention_channels'),
    )
    windows = params['detail_size']
    return {**segmentor, **settings} | dict(
        type='HRDASegmentor',
        decode_head=head,
        # Cases list their boxes, so the size is only that of inference windows.
        detail_size=windows if params['slide_detail'] else WHOLE,
        context_scale=context,
        feature_scale='all' if params['feature_scale'] == 'all' else 'context',
        hr_loss_weight=params['hr_loss_weight'],
        lr_loss_weight=params['lr_loss_weight'],
        box_divisor=params['box_divisor'],
        overlap=params['overlap'],
        blur_detail=params['blur_detail'],
    )


def sdca_config(network: str, num_classes: int, **settings: Any) -> dict:
    """Config of SDCA's ``vgg16``, ``resnet101_bn`` or ``resnet101_frozenbn``."""
    if network not in SDCA_NETWORKS:
        raise Unsupported(f'no network known here is called {network!r}')
    file = CONFIGS / '_base_' / 'models' / f'{SDCA_NETWORKS[network]}.py'
    config = Config.fromfile(file).segmentor.to_dict()
    head = {**config['decode_head'], 'num_classes': num_classes}
    return {**config, 'pretrained': None, 'decode_head': head, **settings}


def sdca_name(name: str) -> str:
    """The published name of an entry of SDCA's networks."""
    return re.sub(r'^decode_head\.aspp_modules\.(\d+)\.conv\.', r'conv2d_list.\1.', name)


def build(config: Mapping[str, Any], weights: Weights) -> nn.Module:
    """The network with the case's weights, in evaluation mode."""
    network = MODELS.build(dict(config))
    load(network, weights)
    network.eval()
    return network


def load(
    network: nn.Module, weights: Weights, published: Callable[[str], str] = lambda name: name
) -> None:
    """Fill all entries of a network.

    Args:
        published: our name -> published name, from which the values are generated.
    """
    entries = network.state_dict()
    values = filled({published(name): entry for name, entry in entries.items()}, weights)
    network.load_state_dict({name: values[published(name)] for name in entries})


def filled(state: Mapping[str, Tensor], weights: Weights) -> Mapping[str, Tensor]:
    """Values of a state dict by its names; the last ones are cached for later cases."""
    layout = tuple((name, entry.shape, entry.dtype) for name, entry in state.items())
    return _filled(layout, weights.seed, tuple(weights.factors.items()))


@lru_cache(maxsize=4)
def _filled(layout: tuple, seed: int, factors: tuple) -> Mapping[str, Tensor]:
    state = {name: torch.empty(shape, dtype=dtype) for name, shape, dtype in layout}
    return Weights(seed, dict(factors)).fill(state)


def layout(network: nn.Module) -> list[list]:
    """Names and shapes of all entries of the state dict, in order."""
    return [[name, list(entry.shape)] for name, entry in network.state_dict().items()]
