"""What a forward pass of a segmentor returns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from mmseg_uda.models.sliding_window import Box

MAIN = 'main'
"""Name of the level of ``decode_head``."""
Levels = dict[str, Tensor]
"""Name of a classifier -> its logits (B, C, h, w)."""


@dataclass
class View:
    """Input and output of the backbone in one forward pass.

    Attributes:
        features: maps (B, D_i, h_i, w_i) of the backbone (and neck).
        prepare: function from images (B, 3, H, W) to the backbone's input (B, 3, H', W'), so that
            another network can be run on the same input.
        box: (y1, y2, x1, x2), the pixels of the images that the input covers; ``None``: all.
    """

    features: list[Tensor]
    prepare: Callable[[Tensor], Tensor] = lambda images: images
    box: Box | None = None


class ForwardPass:
    """Output of one forward pass of a segmentor.

    Args:
        views: one for each run of the backbone; the first covers the whole images.
        logits: (B, C, h, w) at the head's stride, or a function that computes them on first use.
        levels: function that computes :attr:`levels` on first use; ``None``: the logits alone.
    """

    def __init__(
        self,
        views: list[View],
        logits: Tensor | Callable[[], Tensor],
        levels: Callable[[], Levels] | None = None,
    ) -> None:
        self.views = views
        self._logits = logits
        self._levels = levels

    @cached_property
    def logits(self) -> Tensor:
        """Logits (B, C, h, w) at the head's stride."""
        return self._logits() if callable(self._logits) else self._logits

    @cached_property
    def levels(self) -> Levels:
        """Logits of each classifier; 'main' is that of the last stage."""
        return {MAIN: self.logits} if self._levels is None else self._levels()

    @property
    def features(self) -> list[Tensor]:
        """Feature maps (B, D_i, h_i, w_i) of the first view."""
        return self.views[0].features


class Supervision(ForwardPass):
    """Output of a forward pass with labels.

    Args:
        losses: 0-dimensional tensors by name. Those with "loss" in their names are summed and
            back-propagated, the others are metrics for the log.
        logits, views, levels: see :class:`ForwardPass`.
    """

    def __init__(
        self,
        losses: dict[str, Tensor],
        logits: Tensor,
        views: list[View],
        levels: Callable[[], Levels] | None = None,
    ) -> None:
        super().__init__(views, logits, levels)
        self.losses = losses
