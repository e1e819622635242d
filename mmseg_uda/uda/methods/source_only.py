"""Supervised training on the source alone: the baseline; on target labels, the oracle."""

from collections.abc import Iterator

from mmseg.registry import MODELS

from mmseg_uda.errors import UserError
from mmseg_uda.uda.components.channel_shuffle import ORDERS, shuffle_channels
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class SourceOnly(UDAMethod):
    """Cross entropy on the labelled source; target images, if there are any, are for add-ons.

    Args:
        channel_shuffle: random order of the colour channels of each normalised image: 'none',
            'permute' (the three cyclic orders), or 'published' (CaCo's training on the source,
            which instead copies the third channel to all, or the second to the first and third
            and the third to the second).
        options: of :class:`UDAMethod` (segmentor, seed, addons, ...).

    Raises:
        UserError: unknown ``channel_shuffle``.
    """

    needs_target = False

    def __init__(self, channel_shuffle: str = 'none', **options) -> None:
        super().__init__(**options)
        if channel_shuffle not in ORDERS:
            raise UserError(
                f'SourceOnly: channel_shuffle is {channel_shuffle!r}, it must be one of '
                f'{", ".join(ORDERS)}'
            )
        self.channel_shuffle = channel_shuffle

    def passes(self, step: Step) -> Iterator[Losses]:
        images = step.batch.source.images
        if self.channel_shuffle != 'none':
            orders = step.draws.channel_orders(len(ORDERS[self.channel_shuffle]))
            images = shuffle_channels(images, self.channel_shuffle, orders)
        yield self.supervise_source(step, images).losses
        yield from self.further_passes(step)
