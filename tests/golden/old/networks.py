"""Networks of golden cases, built from the names that the cases use for them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import mmseg.models  # noqa: F401 - registers ResNetV1c
from mmseg.registry import MODELS
from torch import nn

import mmseg_uda.models  # noqa: F401 - registers ours
from mmseg_uda.models.backbones.mit import ARCHITECTURES

from .cases import Case, UnknownCase

SEGMENTOR = r'(daformer(?:_[a-z]+\d?)?|dlv2(?:red)?|segformer)_(mitb\d|r\d+(?:v1c)?)'
RESNET_CHANNELS = (256, 512, 1024, 2048)
WHOLE = (2**20, 2**20)  # a window that holds any image
FUSIONS = {
    'sepaspp': 'sep_aspp',
    'aspp': 'aspp',
    'conv1': 'conv1',
    'isa': 'isa',
    'bottleneck': 'sep_aspp_f4',
}


def encoder_config(name: str, **settings: Any) -> tuple[dict, Sequence[int]]:
    """Config and channels of ``mit_b5``, ``mitb5``, ``resnet101_v1c``, ``r101v1c``, ``r101``..."""
    if mit := re.match(r'mit_?(b\d)', name):
        arch = mit[1]
        return dict(type='MiT', arch=arch, **settings), ARCHITECTURES[arch].dims
    if resnet := re.match(r'r(?:esnet)?_?(\d+)', name):
        layout = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)
        return dict(type='ResNetV1c', depth=int(resnet[1]), **layout | settings), RESNET_CHANNELS
    raise UnknownCase(f'no encoder known here is called {name!r}')


def head_config(name: str, in_channels: Sequence[int], **settings: Any) -> dict:
    """Config of ``daformer``, ``daformer_<fusion>``, ``segformer``, ``dlv2`` or ``dlv2red``."""
    base, _, fusion = name.partition('_')
    if base in ('dlv2', 'dlv2red'):
        dilations = (6, 12) if base == 'dlv2red' else (6, 12, 18, 24)
        return dict(type='DLV2Head', in_channels=in_channels[-1], dilations=dilations) | settings
    if base == 'segformer':
        return dict(type='AllMLPHead', in_channels=in_channels) | settings
    if base == 'daformer' and (fusion or 'sepaspp') in FUSIONS:
        fusion = FUSIONS[fusion or 'sepaspp']
        return dict(type='DAFormerHead', in_channels=in_channels, fusion=fusion) | settings
    raise UnknownCase(f'no head known here is called {name!r}')


def segmentor_config(name: str, **settings: Any) -> dict:
    """Config of ``<head>_<encoder>``; ``settings`` are the head's.

    The neck that brings the last map to the first one's size belongs to DAFormer's "bottleneck".
    """
    found = re.match(SEGMENTOR, name)
    if not found:
        raise UnknownCase(f'no segmentor known here is called {name!r}')
    head, encoder = found.groups()
    backbone, channels = encoder_config(encoder)
    config = dict(
        type='Segmentor', backbone=backbone, decode_head=head_config(head, channels, **settings)
    )
    if 'bottleneck' in head:
        config['neck'] = dict(type='UpscaleNeck', scales=(1, 1, 1, 8))
    return config


def hrda_config(name: str, options: Mapping[str, Any], **settings: Any) -> dict:
    """Config of HRDA around ``<head>_<encoder>``.

    Args:
        options: as published and cases call them (hr_crop_size, scales, ...).
        settings: of the shared head.
    """
    config = segmentor_config(name, **settings)
    detail, context = sorted(options.get('scales', (1, 0.5)), reverse=True)
    if detail != 1:
        raise UnknownCase(f'HRDA with the options {dict(options)} is not known')
    slides = options.get('hr_slide_inference', True)
    head = {'type': 'HRDAHead', 'head': config['decode_head']}
    for ours, theirs in (
        ('attention_channels', 'attention_embed_dim'),
        ('attention_classwise', 'attention_classwise'),
        ('fixed_attention', 'fixed_attention'),
    ):
        if theirs in options:
            head[ours] = options[theirs]
    return config | dict(
        type='HRDASegmentor',
        decode_head=head,
        # Cases list their boxes, so that the size is that of the windows of inference alone.
        detail_size=options.get('hr_crop_size', (512, 512)) if slides else WHOLE,
        context_scale=context,
        feature_scale='all' if options.get('feature_scale') == 'all' else 'context',
        hr_loss_weight=options.get('hr_loss_weight', 0.1),
        lr_loss_weight=options.get('lr_loss_weight', 0),
        box_divisor=options.get('crop_coord_divisible', 8),
        overlap=options.get('hr_slide_overlapping', True),
        blur_detail=options.get('blur_hr_crop', False),
    )


def published_config(name: str) -> dict:
    """Config of the network that a layout file ``<name>.keys.json`` describes, at full width."""
    if name.endswith('_head'):
        return head_config(name.removesuffix('_head'), encoder_config('mit_b5')[1])
    if re.fullmatch(SEGMENTOR, name):
        return segmentor_config(name)
    if hrda := re.fullmatch(r'hrda_(mitb\d)', name):
        return hrda_config(f'daformer_{hrda[1]}', {})
    return encoder_config(name)[0]


def head_settings(case: Case) -> dict[str, Any]:
    """Width, classes and dilations of a head, where the case gives them, as parameters or words."""
    names = {
        'channels': ('channels', 'channels and embed_dims'),
        'embed_dims': ('embed_dims', 'embed_dim', 'channels and embed_dims'),
        'num_classes': ('num_classes', 'n_classes'),
        'dilations': ('dilations',),
    }
    in_words = {
        'channels': r'channels = (?:embed_dims = )?(\d+)',
        'embed_dims': r'embed_dims = (\d+)',
        'num_classes': r'\b(\d+) classes',
    }
    settings = {}
    for setting, pattern in in_words.items():
        if found := re.search(pattern, case.text):
            settings[setting] = int(found[1])
    for setting, keys in names.items():
        for key in keys:
            if case.params.get(key) is not None:
                settings[setting] = case.params[key]
                break
    return settings


def build(config: Mapping[str, Any], case: Case) -> nn.Module:
    """The network with the case's weights, in evaluation mode."""
    network = MODELS.build(dict(config))
    network.load_state_dict(case.filled(network.state_dict()))
    network.eval()
    return network


def layout(network: nn.Module) -> list[list]:
    """Names and shapes of all entries of the state dict, in order."""
    return [[name, list(entry.shape)] for name, entry in network.state_dict().items()]
