"""Supervised training on the source alone: the baseline, and on the target's labels the oracle."""

from collections.abc import Iterator
from dataclasses import replace

from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.method import Losses, UDAMethod


@MODELS.register_module()
class SourceOnly(UDAMethod):
    """Cross entropy on the labelled domain; target images, if any, are shown to nobody."""

    needs_target = False

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(replace(batch, target=None))
        yield self.supervise_source(step).losses
        yield from self.further_passes(step)
