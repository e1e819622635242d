"""Checks of the layouts of ADVENT's and CaCo's networks and published files."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest.mock import patch

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.models.pretrained import load_pretrained_backbone
from tests.golden.functions.networks_caco import listing
from tests.golden.networks_caco import caco_config, caco_name

State = Mapping[str, Tensor]


def optimizer_listing(network: nn.Module, published: dict[str, list]) -> Iterator[str]:
    """Factor of the rate, and updates per step, of every parameter."""
    yield from _differences(listing(network), published)


def extra_over_multilevel(network: nn.Module, entries: list[list]) -> Iterator[str]:
    """The entries that published files of this network have in addition."""
    with torch.device('meta'):
        without = MODELS.build(caco_config('deeplabv2_multilevel')).state_dict()
    ours = network.state_dict().items()
    extra = {caco_name(name): [*value.shape] for name, value in ours if name not in without}
    yield from _differences(extra, dict(entries))


def published(network: nn.Module, files: dict[str, dict]) -> Iterator[str]:
    """Read files of all published kinds; ``UserError`` if one does not fit."""
    state = {caco_name(name): value for name, value in network.state_dict().items()}
    for name in files:
        if name in FILES:
            FILES[name](network, state)
        else:
            yield f'nothing here reads {name}'


def _differences(ours: dict[str, Any], published: dict[str, Any]) -> Iterator[str]:
    for name in sorted(ours.keys() | published.keys()):
        pair = ours.get(name, 'nothing'), published.get(name, 'nothing')
        if pair[0] != pair[1]:
            yield f'{name} has {pair[0]} instead of {pair[1]}'


def _initial_weights(network: nn.Module, state: State) -> None:
    """Read initial weights of Caffe, which have a classifier in place of ``layer5``."""
    file = {f'Scale.{name}': v for name, v in state.items() if not name.startswith('layer6.')}
    with patch('mmseg_uda.models.pretrained._read', return_value=file):
        load_pretrained_backbone(network.backbone, 'a published file')


def _flat(network: nn.Module, state: State) -> None:
    with patch('mmseg_uda.compat.checkpoints.load_checkpoint', return_value=state):
        load_segmentor_weights(network, 'a published checkpoint')


def _of_several_gpus(network: nn.Module, state: State) -> None:
    _flat(network, {f'module.{name}': value for name, value in state.items()})


def _not_read(network: nn.Module, state: State) -> None:
    """No run starts from published discriminators."""


FILES: dict[str, Callable[[nn.Module, State], None]] = {
    'DeepLab_resnet_pretrained_imagenet.pth': _initial_weights,
    'gta_source_only_pretrained.pth, caco_stage1.pth, model_<iter>.pth': _flat,
    'model_<iter>_D_aux.pth / _D_main.pth (ADVENT only)': _not_read,
    'GTA5_<iter>.pth': _of_several_gpus,
}
