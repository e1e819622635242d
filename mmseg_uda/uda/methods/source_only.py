"""Supervised training on the source alone: the baseline; on target labels, the oracle."""

from collections.abc import Iterator

from mmseg.registry import MODELS

from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class SourceOnly(UDAMethod):
    """Cross entropy on the labelled source; target images, if there are any, are for add-ons."""

    needs_target = False

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.supervise_source(step).losses
        yield from self.further_passes(step)
