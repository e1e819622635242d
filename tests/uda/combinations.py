"""All registered methods, alone and with the add-ons that extend them, on small networks.

A new method or add-on needs an entry in :data:`METHODS` or :data:`ADDONS`; the combinations of all
of them follow from what the classes declare. Entries are such that a few steps of a network with
random weights use all that the class does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple
from unittest.mock import patch

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.uda.addon import AddOn
from mmseg_uda.uda.components.pixel_contrast import VARIANTS
from mmseg_uda.uda.method import UDAMethod

from .conftest import ALL_FUSION, build, hrda, multi_level, segmentor, uda_batch
from .depth_banks import EVERYTHING, SIZE, Bank, depths


class Entry(NamedTuple):
    """What the tests need to build a method.

    Attributes:
        variants: name -> options of the method; the first is the one that add-ons extend.
        segmentor: options of its segmentor.
        target_size: height and width of target images; source images have ``SIZE``.
        on_levels: options of the method on a multi-level network.
    """

    variants: dict[str, dict] = {'': {}}
    segmentor: dict = {}
    target_size: int = SIZE
    on_levels: dict = {}


PROJECTION = dict(
    type='ProjectionHead', channels=16, norm_cfg=dict(type='GN', num_groups=4), **ALL_FUSION
)
# An epoch has two updates of the teacher; probabilities are those of random weights.
DASAC = dict(teacher=dict(alpha=0.9, interval=2), epoch_length=3, lower=0.07, upper=0.95)
# Keys from random weights. Images are not made smaller, because HRDA halves them again.
CATEGORIES = dict(
    dictionary=dict(capacity=5, confidence=0.07), weight=1.0, scales=(1.0, 1.2), wait=False
)
FULL_FIRST = CATEGORIES | dict(wait=True, domains='source')
SEPICO = dict(crop_size=(SIZE, SIZE), start_iteration=0, threshold=0.07)

LEVELS = dict(weight=dict(main=0.1, aux=0.05))

METHODS: dict[str, Entry] = {
    'SourceOnly': Entry({'': {}, 'shuffled': dict(channel_shuffle='published')}),
    'MinEnt': Entry(on_levels=LEVELS),
    'AdvSeg': Entry(on_levels=LEVELS),
    'AdvEnt': Entry(on_levels=LEVELS),
    'ClassAdversarial': Entry(segmentor=dict(average='valid', temperature=1.8)),
    'SDCA': Entry(
        {'': dict(confidence=0.07, temperature=0.5)},
        dict(average='valid', lovasz_weight=0.75, lovasz_images=2),
    ),
    'DASAC': Entry(
        {
            'per batch': DASAC,
            'per pixel': dict(confidence='pixel', **DASAC),
            'target only': dict(target_only=True, **DASAC),
        }
    ),
    'CaCo': Entry(
        {
            'at once': dict(contrast=CATEGORIES, teacher=dict(alpha=0.9)),
            'full first': dict(contrast=FULL_FIRST),
        }
    ),
    'CategoryRetraining': Entry(
        {
            '': dict(teacher=dict(alpha=0.9), dictionary=dict(capacity=5)),
            'plain': dict(key_labels='plain', target_pass=False),
        },
        segmentor=dict(average='all'),
    ),
    'SelfTraining': Entry({'': dict(threshold=0.07, jitter_threshold=-1)}),
    'SePiCo': Entry(
        {
            name: dict(
                contrast=dict(variant=name, temperature=0.5, min_ratio=0.5, bank_size=3), **SEPICO
            )
            for name in VARIANTS
        },
        dict(auxiliary_head=PROJECTION),
        target_size=96,
    ),
}

# Alternatives of each add-on: name -> options.
ADDONS: dict[str, dict[str, dict]] = {
    'AdaptiveBatchNorm': {'': {}},
    'CDDA': {
        # similarities lie around this threshold: of two ranks, one may relabel images
        '': dict(bank='bank', reweight_threshold=0.0, relabel_threshold=0.0443),
        'as published': dict(bank='bank', as_published=True, **EVERYTHING),
    },
    'CategoryContrast': {'': CATEGORIES},
    'ClassThresholds': {'': dict(lower=0.07, upper=0.95)},
    'DayPartner': {'': {}},
    # classes that the images hold in different numbers of cells
    'FeatureDistance': {'': dict(classes=list(range(0, 19, 2)), min_ratio=0.25)},
    'IgnoreMargins': {'': dict(top=4, bottom=8)},
    'MaskedConsistency': {'': dict(block_size=16, alpha=0.9, threshold=0.07)},
    'ValidRegion': {'': {}},
    'ViewFusion': {'': {}},
}
# Further alternatives, on hosts that make pseudo-labels.
ON_PSEUDO_LABELS = {'MaskedConsistency': {'shared teacher': dict(block_size=16)}}


def registered(kind: type) -> dict[str, type]:
    """The classes of the package that configs can name, subclasses of ``kind``."""
    return {
        name: found
        for name, found in MODELS.module_dict.items()
        if isinstance(found, type)
        and issubclass(found, kind)
        and found.__module__.startswith('mmseg_uda.')
    }


@MODELS.register_module()
class Pyramid(BaseModule):
    """A backbone of four convolutions, with the strides and widths of MiT-B0."""

    def __init__(self) -> None:
        super().__init__()
        strides, widths = (4, 2, 2, 2), (3, 32, 64, 160, 256)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(*pair, stride, stride), nn.GroupNorm(4, pair[1]), nn.GELU())
            for stride, pair in zip(strides, zip(widths, widths[1:]), strict=True)  # noqa: B905
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


def plain(norm: str) -> dict:
    return segmentor(norm=norm) | dict(backbone=dict(type='Pyramid'))


def small_multi_level(norm: str) -> dict:
    return multi_level(norm=norm) | dict(backbone=dict(type='Pyramid'))


def small_hrda(norm: str) -> dict:
    return hrda(norm=norm) | dict(backbone=dict(type='Pyramid'))


def mit_hrda(norm: str) -> dict:
    return hrda(norm=norm)


@dataclass(frozen=True)
class Combination:
    """A method with add-ons.

    Attributes:
        host, variant: of :data:`METHODS`.
        name: for the report.
        addons: name -> config.
        network: the config of the segmentor, given the normalisation.
        options: further options of the method.
    """

    host: str
    variant: str
    name: str
    addons: dict[str, dict] = field(default_factory=dict)
    network: Callable[[str], dict] = plain
    options: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def types(self) -> list[str]:
        """The classes of the add-ons."""
        return [addon['type'] for addon in self.addons.values()]

    def make(self, norm: str = 'BN') -> UDAMethod:
        """Build it with random weights."""
        entry = METHODS[self.host]
        network = self.network(norm) | entry.segmentor
        options = entry.variants[self.variant] | self.options
        options = dict(segmentor=network, addons=self.addons) | options
        with patch.object(DepthBank, 'open', lambda path: Bank()):
            method = build(dict(type=self.host, **options))
        # A frozen copy of the initial student must not be equal to it.
        with torch.no_grad():
            for parameter in method.addons.parameters():
                parameter.mul_(1.1)
        return method

    def batch(self, seed: int = 0, images: int = 2) -> UDABatch:
        """A batch with all that any add-on reads."""
        size = METHODS[self.host].target_size
        batch = uda_batch(SIZE, images, seed)
        batch.target = target = uda_batch(size, images, seed).target
        target.day, target.depth = target.images.flip(3), depths(images, size, seed)
        target.valid = torch.ones(images, size, size)
        target.valid[..., : size // 4] = 0
        return batch


def combinations() -> Iterator[Combination]:
    """Each variant alone; each add-on on each host that it fits; all of a host's together.

    Where there are alternatives of an add-on, each joins alone and together with the others. With
    an HRDA: each method alone, and self-training with all add-ons, the latter on a MiT-B0. With a
    multi-level network: each method alone.
    """
    addons = registered(AddOn)
    for host, kind in registered(UDAMethod).items():
        if host not in METHODS:
            continue  # a test fails
        first, *_ = variants = METHODS[host].variants
        levels = METHODS[host].on_levels
        for variant in variants:
            yield Combination(host, variant, f'{host} {variant}'.strip())
        yield Combination(host, first, f'{host} on HRDA', network=small_hrda)
        yield Combination(
            host, first, f'{host} on levels', network=small_multi_level, options=levels
        )
        fitting = {name: list(alternatives(name, addon, kind)) for name, addon in addons.items()}
        for name, config in chain.from_iterable(fitting.values()):
            yield Combination(host, first, f'{host} + {name}', {'addon': config})
        for number in range(max(map(len, fitting.values()))):
            joined = [found[min(number, len(found) - 1)] for found in fitting.values() if found]
            together = {name: config for name, config in joined}
            name = f'{host} + all' + f' {number + 1}' * bool(number)
            yield Combination(host, first, name, together)
            if host == 'SelfTraining':
                yield Combination(host, first, f'{name} on HRDA', together, mit_hrda)


def alternatives(name: str, addon: type, host: type) -> Iterator[tuple[str, dict]]:
    """(name, config) of the alternatives of an add-on on a host, none where it has no effect."""
    if addon.needs_pseudo_labels and not host.makes_pseudo_labels:
        return
    further = ON_PSEUDO_LABELS.get(name, {}) if host.makes_pseudo_labels else {}
    for alternative, options in (ADDONS.get(name, {}) | further).items():
        yield f'{name} {alternative}'.strip(), dict(type=name, **options)


COMBINATIONS = list(combinations())
