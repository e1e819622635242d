"""Masked images, adversarial and entropy losses, and what training steps with them need."""

from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.engine.optim import JointOptimWrapper
from mmseg_uda.models.discriminator import Discriminator
from mmseg_uda.uda.adversarial import SOURCE, TARGET, domain_loss
from mmseg_uda.uda.augmentation import Jitter
from mmseg_uda.uda.class_mix import LABEL_VALUES
from mmseg_uda.uda.masked_consistency import block_grid, block_mask
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.min_entropy import entropy

from ..cases import Case, UnknownCase
from . import Results, family
from .functions import tensor
from .optim import optim_wrapper, rates_at

DISCRIMINATOR_LOSSES = {'LS': 'mse', 'Vanilla': 'bce'}


class GivenDraws:
    """The draws of one step as a case lists them, in order of use, in place of ``StepDraws``."""

    def __init__(self, listed: dict[str, Any], batch_size: int) -> None:
        self.batch_size = batch_size
        self.classes = listed.get('classes', ())
        uniform = list(listed.get('uniform', ()))
        if len(uniform) % 2:  # a host without blur draws no trigger for it, its MIC does
            uniform.insert(1, 0.0)
        self.pairs = zip(uniform[::2], uniform[1::2], strict=True)
        self.factors = iter(listed.get('jitter', ()))
        self.deviations = iter(listed.get('sigma', ()))
        self.grids = iter(listed.get('grids', ()))

    def triggers(self, stream: int = 0) -> tuple[float, float]:
        return next(self.pairs, (0.0, 0.0))

    def class_keys(self) -> Tensor:
        keys = torch.ones(len(self.classes), LABEL_VALUES)
        for image, classes in zip(keys, self.classes, strict=True):
            image[classes] = 0
        return keys

    def jitters(self, strength: float, stream: int = 0) -> list[Jitter]:
        return [self.common_jitter(strength, stream) for _ in range(self.batch_size)]

    def common_jitter(self, strength: float, stream: int) -> Jitter:
        return Jitter(**next(self.factors))

    def sigmas(self, stream: int = 0) -> list[float]:
        return [next(self.deviations) for _ in range(self.batch_size)]

    def common_sigma(self, stream: int) -> list[float]:
        return [next(self.deviations)] * self.batch_size

    def block_grids(self, size: tuple[int, int]) -> Tensor:
        grids = torch.tensor(next(self.grids))
        return grids.view(self.batch_size, 1, *size)


def masked_consistency(case: Case) -> dict[str, dict]:
    """The part MIC of the case's options; none if there is no mask mode.

    Methods without a teacher have one for MIC whose settings are not options.
    """
    uda = case.params['uda']
    if not uda.get('mask_mode'):
        return {}
    generator = uda['mask_generator']
    if generator['type'] != 'block':
        raise UnknownCase(f'{case.name}: masks of type {generator["type"]} are not known')
    alpha, threshold = uda.get('mask_alpha', 'same'), uda.get('mask_pseudo_threshold', 'same')
    if not {'alpha', 'source_only'} & set(uda):
        alpha = 0.999 if alpha == 'same' else alpha
        threshold = 0.968 if threshold == 'same' else threshold
    part = dict(
        type='MaskedConsistency',
        mode=uda['mask_mode'],
        block_size=generator['mask_block_size'],
        ratio=generator['mask_ratio'],
        weight=uda.get('mask_lambda', 1),
        alpha=alpha,
        threshold=threshold,
        jitter_strength=uda.get('color_jitter_strength', 0.2),
        jitter_threshold=uda.get('color_jitter_probability', 0.2),
    )
    return {'mic': part}


def method_without_teacher(case: Case, segmentor: dict, parts: dict) -> UDAMethod | None:
    """AdvSeg or MinEnt of the case's options; None if they are of another method."""
    uda, model = case.params['uda'], case.params['model']
    if 'lambda_adv_target' in uda:
        kind = dict(
            type='AdvSeg',
            discriminator_loss=DISCRIMINATOR_LOSSES[uda['discriminator_type']],
            weight=uda['lambda_adv_target']['main'],
            scale=0.5 if model.get('type') == 'HRDAEncoderDecoder' else 1.0,
        )
    elif 'lambda_ent' in uda:
        kind = dict(type='MinEnt', weight=uda['lambda_ent']['main'])
    else:
        return None
    return MODELS.build(dict(kind, segmentor=segmentor, parts=parts))


class Optimisers:
    """The optimisers of a case's steps; the case lists the learning rates of the main one.

    As published, that one moves the discriminator too.
    """

    def __init__(self, method: UDAMethod, params: dict[str, Any]) -> None:
        self.params = params
        self.main = self.wrapper = optim_wrapper(method, params['optimizer'])
        self.rates = [group['lr'] for group in self.main.param_groups]
        self.discriminator: OptimWrapper | None = None
        if hasattr(method, 'discriminator'):
            adam = dict(type='Adam', lr=params['uda']['lr_D'], betas=(0.9, 0.99))
            self.discriminator = optim_wrapper(method.discriminator, adam)
            self.wrapper = JointOptimWrapper(method=self.main, discriminator=self.discriminator)

    def set_rates(self, iteration: int) -> None:
        """Learning rates as they are before an iteration."""
        factor = self.params['learning_rates'][iteration] / self.params['optimizer']['lr']
        for group, rate in zip(self.main.param_groups, self.rates, strict=True):
            group['lr'] = rate * factor
        if self.discriminator is not None:
            uda = self.params['uda']
            schedule = dict(
                max_iters=uda['max_iters'], power=uda['lr_D_power'], min_lr=uda['lr_D_min']
            )
            ((rate,),) = rates_at([iteration], [uda['lr_D']], schedule)
            (group,) = self.discriminator.param_groups
            group['lr'] = rate


@family('daformer', 'block_mask')
def block_masks(case: Case) -> Results:
    images = tensor(case.input('image'))
    ratio, size = case.params['mask_ratio'], images.shape[2:]
    mask = block_mask(tensor(case.input('grid_draws')), ratio, size)
    grid = block_grid(size, case.params['mask_block_size'])
    generator = torch.Generator().manual_seed(case.params['torch_seed'])
    draws = torch.rand(64, 1, *grid, generator=generator)
    return {
        'mask': mask,
        'masked_image': images * mask,
        'params.grid': grid,
        'kept_share_of_64_images': block_mask(draws, ratio, size).mean(),
    }


@family('daformer', 'entropy_and_discriminator')
def entropy_and_discriminator(case: Case) -> Results:
    probabilities = tensor(case.input('logits')).softmax(1)
    discriminator = Discriminator(probabilities.shape[1])
    discriminator.load_state_dict(case.filled(discriminator.state_dict(), 'discriminator'))
    with torch.no_grad():
        scores = discriminator(probabilities)
    shapes = [[name, list(entry.shape)] for name, entry in discriminator.state_dict().items()]
    return {
        'entropy_loss': entropy(probabilities).mean(),
        'entropy_map': entropy(probabilities),
        'discriminator': scores,
        'ls_source': domain_loss(scores, SOURCE, 'mse'),
        'ls_target': domain_loss(scores, TARGET, 'mse'),
        'bce_source': domain_loss(scores, SOURCE, 'bce'),
        'bce_target': domain_loss(scores, TARGET, 'bce'),
        'params.keys': shapes,
    }
