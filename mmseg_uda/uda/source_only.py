"""Supervised training on the source alone: the baseline, and on the target's labels the oracle."""

from collections.abc import Iterator

from mmseg.registry import MODELS

from mmseg_uda.models.data_preprocessor import UDABatch
from mmseg_uda.uda.method import Losses, UDAMethod


@MODELS.register_module()
class SourceOnly(UDAMethod):
    """Cross entropy on the labelled domain; target images, if any, are not looked at."""

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        yield self.student.supervise(batch.source.images, batch.source.labels).losses
