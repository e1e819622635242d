"""Compare state dicts and other properties of published networks with ours."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.compat.checkpoints import load_segmentor_weights
from mmseg_uda.models import MultiLevelSegmentor
from mmseg_uda.models.discriminator import Discriminator
from tests.golden import layouts_caco
from tests.golden.cases import Layout
from tests.golden.functions.networks_dasac import groups_of, norm_layers
from tests.golden.functions.optimisation import rates_and_decays
from tests.golden.networks import (
    CONFIGS,
    SDCA_NETWORKS,
    encoder_config,
    head_config,
    hrda_config,
    sdca_config,
    sdca_name,
    segmentor_config,
)
from tests.golden.networks_caco import (
    CACO_NETWORKS,
    DISCRIMINATOR,
    caco_config,
    caco_name,
    discriminator_name,
)
from tests.golden.networks_dasac import DASAC_NETWORKS, NAMES, dasac_config, dasac_name
from tests.golden.registry import Params, Unknown

DAFORMER = dict(head='daformer', fusion='sep_aspp', num_classes=19)
DLV2 = dict(head='dlv2', num_classes=19)
SEPICO = dict(embedding=512)
HRDA = dict(
    detail_size=(512, 512),
    attention_channels=256,
    scales=(1, 0.5),
    feature_scale=0.5,
    attention_classwise=True,
    fixed_attention=None,
    hr_loss_weight=0.1,
    lr_loss_weight=0,
    box_divisor=8,
    overlap=True,
    slide_detail=True,
    blur_detail=False,
)
READABLE = {'model.': 'student', 'ema_model.': 'teacher', 'mic.teacher.ema_model.': 'mic_teacher'}
IN_WORDS = {'name', 'function', 'about'}


def network_config(name: str) -> dict:
    """Config of the published network ``name``, at full width.

    Raises:
        Unknown: if there is none.
    """
    if re.fullmatch(r'mit_b\d|resnet\d+_v1c', name):
        return encoder_config(name)[0]
    if name == 'daformer_head':
        return head_config(Params(DAFORMER | dict(channels=256, embed_dims=256)), mit_channels())
    if name in SDCA_NETWORKS:
        return sdca_config(name, num_classes=19)
    if name in DASAC_NETWORKS:
        return dasac_config(name, num_classes=19)
    if name in CACO_NETWORKS:
        return caco_config(name)
    if name == 'cdda_daformer':
        return segmentor_config(Params(DAFORMER | dict(encoder='mit_b5')))
    if name == 'cdda_hrda_mic':
        return network_config('hrda_mitb5')
    if found := re.fullmatch(r'(daformer|hrda)_mit(b\d)', name):
        config = segmentor_config(Params(DAFORMER | dict(encoder=f'mit_{found[2]}')))
        return config if found[1] == 'daformer' else hrda_config(config, Params(HRDA))
    if found := re.fullmatch(r'dlv2red_r(\d+)v1c', name):
        options = dict(encoder=f'resnet{found[1]}_v1c', dilations=(6, 12))
        return segmentor_config(Params(DLV2 | options))
    if found := re.fullmatch(r'daformer_(b\d)', name):
        return segmentor_config(Params(DAFORMER | SEPICO | dict(encoder=f'mit_{found[1]}')))
    if found := re.fullmatch(r'dlv2_r(\d+)', name):
        options = dict(encoder=f'resnet{found[1]}_v1c', dilations=(6, 12, 18, 24))
        return segmentor_config(Params(DLV2 | SEPICO | options))
    raise Unknown(f'no network known here is called {name!r}')


def mit_channels() -> tuple[int, ...]:
    return tuple(encoder_config('mit_b5')[1])


def build(name: str) -> nn.Module:
    """The network on the meta device, without memory for its weights."""
    with torch.device('meta'):
        if name == DISCRIMINATOR:
            return Discriminator(in_channels=19)
        return MODELS.build(network_config(name))


def layout_differences(layout: Layout) -> list[str]:
    """Differences between a published layout and ours, one per line."""
    content = {name: value for name, value in layout.content.items() if name not in IN_WORDS}
    if layout.function == 'checkpoint_layout':
        return list(prefix_differences(content['state_dict_prefixes']))
    network, problems = build(layout.name), []
    for name, published in content.items():
        if name not in CHECKS:
            problems.append(f'{name}: nothing here checks it')
        else:
            problems += [f'{name}: {problem}' for problem in CHECKS[name](network, published)]
    return problems


def unequal(ours: Any, published: Any) -> Iterator[str]:
    """The first difference, if any."""
    if isinstance(ours, list) and isinstance(published, list):
        if len(ours) != len(published):
            yield f'{len(ours)} entries instead of {len(published)}'
        pairs = zip(ours, published, strict=False)
        ours, published = next((pair for pair in pairs if pair[0] != pair[1]), (None, None))
    if ours != published:
        yield f'{ours!r:.300} instead of {published!r:.300}'


def state_dict(network: nn.Module, published: list[list]) -> Iterator[str]:
    """Names, shapes and types of the entries, in order."""
    rename = naming(network, published)
    ours = [
        [rename(name), list(entry.shape), str(entry.dtype).removeprefix('torch.')]
        for name, entry in network.state_dict().items()
    ]
    yield from unequal(ours, published)


def naming(network: nn.Module, entries: list[list]) -> Callable[[str], str]:
    """Our name -> published name. DAFormer's, HRDA's and SePiCo's are ours."""
    if isinstance(network, MultiLevelSegmentor):
        return caco_name
    if isinstance(network, Discriminator):
        return discriminator_name
    if type(getattr(network, 'backbone', None)).__name__ in NAMES:
        return partial(dasac_name, network)
    return sdca_name if any(name.startswith('conv2d_list.') for name, *_ in entries) else str


def parameters(network: nn.Module, published: int) -> Iterator[str]:
    yield from unequal(sum(p.numel() for p in network.parameters()), published)


def layernorm_eps(network: nn.Module, published: dict[str, float]) -> Iterator[str]:
    layers = {n: m.eps for n, m in network.named_modules() if isinstance(m, nn.LayerNorm)}
    yield from unequal(layers, published)


def drop_path(network: nn.Module, published: list[float]) -> Iterator[str]:
    """Drop-path rates of the blocks in order; the published ones are float32."""
    rates = [m.rate for m in network.modules() if type(m).__name__ == 'DropPath']
    if len(rates) != len(published) or not np.allclose(rates, published, rtol=1e-6, atol=1e-8):
        yield f'{rates} instead of {published}'


def parameter_groups(network: nn.Module, published: list[list]) -> Iterator[str]:
    """Learning-rate and decay factors of every parameter in the optimiser of our configs."""
    schedule = CONFIGS / '_base_' / 'schedules' / 'adamw_poly10warm_40k.py'
    config = Config.fromfile(schedule).optim_wrapper.to_dict()
    optimizer = config['optimizer'] | dict(paramwise_cfg=config['paramwise_cfg'])
    rows = rates_and_decays(nn.ModuleDict({'student': network}), optimizer)
    ours = [
        [
            name.removeprefix('student.'),
            round(rate / optimizer['lr'], 9),
            round(decay / optimizer['weight_decay'], 9),
        ]
        for name, (rate, decay) in rows.items()
    ]
    yield from unequal(ours, published)


def halves(network: nn.Module) -> dict[str, nn.Module]:
    """The two networks that FADA and SDCA save separately."""
    return {'feature_extractor': network.backbone, 'classifier': network.decode_head}


def trainable(network: nn.Module, published: dict[str, list] | list) -> Iterator[str]:
    """Names of the trained parameters; SDCA's are listed for each half of the network."""
    if isinstance(published, list):
        parameters = network.named_parameters()
        yield from unequal([caco_name(n) for n, p in parameters if p.requires_grad], published)
        return
    names = {id(p): sdca_name(name) for name, p in network.named_parameters() if p.requires_grad}
    for half, module in halves(network).items():
        ours = [names[id(p)] for p in module.parameters() if id(p) in names]
        yield from unequal(ours, published[half])


def parts(network: nn.Module, published: dict[str, int]) -> Iterator[str]:
    sizes = {half: len(module.state_dict()) for half, module in halves(network).items()}
    yield from unequal(sizes, published)


def checkpoint(network: nn.Module, published: dict[str, Any]) -> Iterator[str]:
    """Read files with the published entries; ``UserError`` if one does not fit."""
    if 'keys_per_prefix' in published:
        yield from unequal(len(network.state_dict()), published['keys_per_prefix'])
    if 'feature_extractor' in published:
        file = {
            half: {name: torch.empty(shape, device='meta') for name, shape in published[half]}
            for half in halves(network)
        }
        read(network, file, 'student')
    elif 'state_dict_prefixes' in published:
        read_networks(network, published['state_dict_prefixes'])
    else:
        for kind in ('training_file', 'published_file'):
            read_networks(network, published[kind]['prefixes'])


def checkpoint_top_level(network: nn.Module, published: list[str]) -> Iterator[str]:
    yield from unequal(list(snapshot([])), published)


def snapshot(entries: list[list]) -> dict[str, Any]:
    """The content of a snapshot of DA-SAC, without memory for its weights."""
    weights = {name: torch.empty(shape, device='meta') for name, shape in entries}
    return dict(model=weights, opt={}, score=0.5, epoch=1)


def state_dict_baseline_checkpoint_model(network: nn.Module, published: list) -> Iterator[str]:
    """Read a snapshot of the first training; ``UserError`` if an entry does not fit."""
    yield from unequal(len(published), len(network.state_dict()))
    read(network, snapshot(published), 'student')


def state_dict_final_checkpoint_model(network: nn.Module, published: list) -> Iterator[str]:
    """Read both networks of a last snapshot, which also has two buffers of the method."""
    yield from unequal(len(published), 2 * len(network.state_dict()) + 2)
    read(network, snapshot(published), 'student')
    read(network, snapshot(published), 'teacher')


def batch_norm_layers(network: nn.Module, published: list[str]) -> Iterator[str]:
    yield from unequal(norm_layers(network), published)


def optimizer_groups(network: nn.Module, published: list[dict]) -> Iterator[str]:
    """Groups and their parameters in order: the optimiser's state depends on it."""
    for ours, theirs in zip(groups_of(network), published, strict=True):
        ours = {key: ours[key] for key in theirs}
        rounded = {key: round(ours[key], 12) for key in ('lr', 'weight_decay')}
        yield from unequal(ours | rounded, theirs)


def optimizer_groups_stage3_equal(network: nn.Module, published: bool) -> Iterator[str]:
    """Ours have one config for both trainings."""
    yield from unequal(True, published)


CHECKS: dict[str, Callable[[nn.Module, Any], Iterator[str]]] = {
    check.__name__: check
    for check in (
        state_dict,
        parameters,
        layernorm_eps,
        drop_path,
        parameter_groups,
        trainable,
        parts,
        checkpoint,
        checkpoint_top_level,
        state_dict_baseline_checkpoint_model,
        state_dict_final_checkpoint_model,
        batch_norm_layers,
        optimizer_groups,
        optimizer_groups_stage3_equal,
        layouts_caco.optimizer_listing,
        layouts_caco.extra_over_multilevel,
        layouts_caco.published,
    )
}


def prefix_differences(published: dict[str, list]) -> Iterator[str]:
    """For several trainings: [prefix, number of entries] of the networks in a checkpoint."""
    networks = [build('daformer_mitb5'), build('hrda_mitb5')]
    sizes = {len(network.state_dict()): network for network in networks}
    for kind, prefixes in published.items():
        numbers = {number for _, number in prefixes}
        if len(numbers) != 1 or not numbers <= sizes.keys():
            yield f'{kind}: no network known here has {numbers} entries'
        else:
            read_networks(sizes[numbers.pop()], [prefix for prefix, _ in prefixes])


def read_networks(network: nn.Module, prefixes: list[str]) -> None:
    """Read all networks of a checkpoint except the frozen one of the feature distance."""
    state = network.state_dict()
    file = {f'{prefix}{name}': value for prefix in prefixes for name, value in state.items()}
    for prefix in prefixes:
        if prefix != 'imnet_model.':
            read(network, {'state_dict': file}, READABLE[prefix])


def read(network: nn.Module, content: dict, which: str) -> None:
    with patch('mmseg_uda.compat.checkpoints.load_checkpoint', return_value=content):
        load_segmentor_weights(network, 'a published checkpoint', which)
