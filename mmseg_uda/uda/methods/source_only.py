"""Supervised training on the source alone: the baseline; on target labels, the oracle."""

from collections.abc import Iterator
from dataclasses import replace

from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class SourceOnly(UDAMethod):
    """Cross entropy on the labelled source; target images, if there are any, are not used."""

    needs_target = False

    def begin(self, batch: UDABatch) -> Step:
        return super().begin(replace(batch, target=None))

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.supervise_source(step).losses
        yield from self.further_passes(step)
