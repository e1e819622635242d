"""Methods for training steps, built from a case's model and options, with given random draws."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.uda.addons.mic import MaskedConsistency
from mmseg_uda.uda.components.augmentation import Jitter
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step
from tests.golden.functions.mixing import class_keys
from tests.golden.inputs import Weights
from tests.golden.networks import filled, segmentor_config
from tests.golden.registry import Params, Unsupported

WITHOUT_TEACHER = 'min_entropy', 'adversarial'
PUBLISHED_TEACHER = dict(alpha=0.999, threshold=0.968)
SELF_TRAINING = 'alpha', 'threshold', 'jitter_strength', 'jitter_threshold', 'blur'


def build_method(params: Params, inputs: Params) -> UDAMethod:
    """The method of a case, without its weights."""
    kind, options = params['method'], params['options']
    settings = dict(segmentor=segmentor_config(params['model']), addons=addons_of(options, inputs))
    if kind in WITHOUT_TEACHER and 'mic' in settings['addons']:
        give_own_teacher(settings['addons']['mic'], options)
    if kind == 'self_training':
        settings |= dict(type='SelfTraining', **options.given(*SELF_TRAINING))
    elif kind == 'sepico':
        own = 'crop_size', 'crop_max_ratio', 'start_iteration'
        settings |= dict(type='SePiCo', contrast=options['contrast'].plain())
        settings |= options.given(*SELF_TRAINING, *own)
    elif kind == 'source_only':
        settings |= dict(type='SourceOnly')
    elif kind == 'min_entropy':
        settings |= dict(type='MinEnt', weight=options['weight'])
    elif kind == 'adversarial':
        settings |= dict(
            type='AdvSeg',
            discriminator_loss=options['discriminator_loss'],
            weight=options['weight'],
            scale=0.5 if params['model'].get('hrda') is not None else 1.0,
        )
    else:
        raise Unsupported(f'there is no method {kind!r}')
    return MODELS.build(settings)


def addons_of(options: Params, inputs: Params) -> dict[str, dict]:
    """The add-ons of a method."""
    addons = {}
    if options.get('feature_distance') is not None:
        addons['feature_distance'] = dict(type='FeatureDistance', **options['feature_distance'])
    if options.get('cdda') is not None:
        addons['cdda'] = dict(type='CDDAVariant', bank='given', **options['cdda'])
    margins = dict(top=options.get('ignore_top') or 0, bottom=options.get('ignore_bottom') or 0)
    if any(margins.values()):
        addons['margins'] = dict(type='IgnoreMargins', **margins)
    if 'valid' in inputs:
        addons['valid_region'] = dict(type='ValidRegion')
    if options.get('day') is not None:
        addons['day'] = dict(type='DayPartner', **options['day'].plain())
    if options.get('masked') is not None:
        colours = options.given('jitter_strength', 'jitter_threshold', 'blur')
        addons['mic'] = dict(type='PublishedMIC', **colours, **options['masked'])
    return addons


def give_own_teacher(mic: dict, options: Params) -> None:
    """Options of MIC in a method without a teacher, where none can be 'same'."""
    for name, published in PUBLISHED_TEACHER.items():
        if mic[name] == 'same':
            mic[name] = options.get(name, published)


@MODELS.register_module()
class PublishedMIC(MaskedConsistency):
    """MIC as published: the loss of HRDA's detail has its own weight.

    Args:
        detail_weight: of that loss; ``None`` if there is none.
        options: of :class:`MaskedConsistency`.
    """

    def __init__(self, detail_weight: float | None, **options: Any) -> None:
        super().__init__(**options)
        self.detail_weight = detail_weight

    def passes(self, step: Step) -> Iterator[Losses]:
        for losses in super().passes(step):
            for name in losses:
                if name.endswith('hr.loss_seg') and self.detail_weight is not None:
                    losses[name] = losses[name] * (self.detail_weight / self.weight)
            yield losses


def published_names(method: UDAMethod) -> dict[str, Tensor]:
    """Our parameters and buffers by their names in published checkpoints."""
    networks = {'model.': method.student}
    if hasattr(method, 'teacher'):
        networks['ema_model.'] = method.teacher.network
    if hasattr(method, 'discriminator'):
        networks['model_D.main.'] = method.discriminator['main']
    if 'mic' in method.addons and method.addons['mic'].teacher is not None:
        networks['mic.teacher.ema_model.'] = method.addons['mic'].teacher.network
    if 'feature_distance' in method.addons:
        networks['imnet_model.backbone.'] = method.addons['feature_distance'].encoder
    return {
        f'{prefix}{name}': entry
        for prefix, network in networks.items()
        for name, entry in network.state_dict().items()
    }


def load_published(entries: Mapping[str, Tensor], weights: Weights) -> None:
    """Fill parameters and buffers by their published names."""
    with torch.no_grad():
        for name, value in filled(entries, weights).items():
            entries[name].copy_(value)


class GivenDraws:
    """Replaces ``StepDraws`` by the random draws that a case lists, in order of use."""

    def __init__(self, listed: Mapping[str, Any], batch_size: int) -> None:
        self.batch_size = batch_size
        self.classes = listed.get('classes') or [[]] * batch_size
        self.pairs = iter(listed.get('triggers', ()))
        self.drawn: dict[int, tuple[float, float]] = {}
        self.factors = iter(listed.get('jitters', ()))
        self.deviations = iter(listed.get('sigmas', ()))
        self.grids = iter(listed.get('grids', ()))

    def triggers(self, stream: int = 0) -> tuple[float, float]:
        if stream not in self.drawn:
            pair = next(self.pairs, {})
            self.drawn[stream] = pair.get('jitter') or 0.0, pair.get('blur') or 0.0
        return self.drawn[stream]

    def class_keys(self) -> Tensor:
        return class_keys(self.classes)

    def jitters(self, strength: float, stream: int = 0) -> list[Jitter]:
        return [self.common_jitter(strength, stream) for _ in range(self.batch_size)]

    def common_jitter(self, strength: float, stream: int) -> Jitter:
        return Jitter(**next(self.factors))

    def sigmas(self, stream: int = 0) -> list[float]:
        return [next(self.deviations) for _ in range(self.batch_size)]

    def common_sigma(self, stream: int) -> list[float]:
        return [next(self.deviations)] * self.batch_size

    def block_grids(self, size: tuple[int, int]) -> Tensor:
        grids = torch.as_tensor(next(self.grids), dtype=torch.float32)
        return grids.view(self.batch_size, 1, *size)


@contextmanager
def detail_boxes(boxes: list[list[int]]) -> Iterator[None]:
    """Make HRDA use these boxes instead of drawing them."""
    given = map(tuple, boxes)
    with patch('mmseg_uda.models.hrda.random_detail_box', lambda *_: next(given)):
        yield


def record_calls(student: nn.Module) -> list[dict[str, Tensor]]:
    """List to which every supervised forward of the student appends its inputs."""
    calls: list[dict[str, Tensor]] = []
    supervise: Callable = student.supervise

    def recording(images: Tensor, labels: Tensor, weight: Tensor | None = None) -> Any:
        given = dict(images=images, labels=labels, weight=weight)
        calls.append({name: value.clone() for name, value in given.items() if value is not None})
        return supervise(images, labels, weight)

    student.supervise = recording
    return calls


def norm(tensors: list[Tensor]) -> float:
    """L2 norm of all elements, in float64 to keep the digits of the sum."""
    return float(torch.stack([t.detach().double().square().sum() for t in tensors]).sum().sqrt())


def gradient_norm(module: nn.Module) -> float:
    return norm([p.grad for p in module.parameters() if p.grad is not None])


def numbers(logs: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}
