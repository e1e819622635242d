"""The teacher: a network that follows the student and labels target images."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import ForwardPass, Levels
from mmseg_uda.models.losses import upscale

CHOICES = dict(
    buffers=('own', 'copied', 'averaged'),
    mode=('batch', 'evaluation', 'training'),
)
# Options of the momentum network of CaCo, which predicts as the student in training.
MOMENTUM_NETWORK = dict(
    alpha=0.999, warm_up=False, buffers='copied', mode='training', threshold=None
)


@dataclass(frozen=True)
class Answer:
    """The teacher's output for a batch of images.

    Attributes:
        images: (B, 3, H, W), the input.
        seen: the forward pass.
        align_corners: of the up-scaling.
    """

    images: Tensor
    seen: ForwardPass
    align_corners: bool

    @property
    def features(self) -> list[Tensor]:
        """Maps (B, D_i, h_i, w_i) of the backbone."""
        return self.seen.features

    @property
    def logits(self) -> Tensor:
        """Logits (B, C, h, w) at the head's stride, computed on first use."""
        with torch.no_grad():
            return self.seen.logits

    @property
    def levels(self) -> Levels:
        """Logits (B, C, h, w) of each classifier, computed on first use."""
        with torch.no_grad():
            return self.seen.levels

    def probabilities(self, part: slice = slice(None)) -> Tensor:
        """Class probabilities (B, C, H, W) of the images, computed on each call.

        Args:
            part: the images whose probabilities are returned; default: all.
        """
        logits = self.logits[part]
        return upscale(logits, self.images.shape[2:], self.align_corners).softmax(dim=1)


class Teacher(nn.Module):
    """An exponential moving average (EMA) of the student.

    The defaults are those of DACS (Tranheden et al., WACV 2021) and DAFormer (Hoyer et al., CVPR
    2022).

    Args:
        student: the segmentor to follow.
        alpha: EMA momentum. With ``warm_up`` it is min(1 - 1/(t + 1), alpha) at iteration t (from
            0): the first update is a copy, the next ones are a plain average.
        warm_up: start with a smaller momentum, as above.
        interval: update at every ``interval``-th iteration only.
        epoch_length: number of iterations after which the counting of ``interval`` starts again, at
            an update; ``None``: never.
        buffers: BatchNorm's running statistics are the teacher's 'own', 'copied' from the student,
            or 'averaged' as the parameters are.
        mode: 'batch': BatchNorm uses the statistics of the batch, dropout and drop path are off.
            'evaluation' and 'training': as of the student in that mode.
        threshold: probability from which a pseudo-label counts as confident; ``None``: all do.

    Raises:
        UserError: an unknown ``buffers`` or ``mode``; an ``interval`` or ``epoch_length`` below 1.

    >>> teacher = Teacher(nn.Linear(1, 1), alpha=0.99)
    >>> teacher.momentum(0), teacher.momentum(1), teacher.momentum(1000)
    (0.0, 0.5, 0.99)
    """

    def __init__(
        self,
        student: nn.Module,
        alpha: float = 0.999,
        threshold: float | None = 0.968,
        warm_up: bool = True,
        interval: int = 1,
        epoch_length: int | None = None,
        buffers: Literal['own', 'copied', 'averaged'] = 'own',
        mode: Literal['batch', 'evaluation', 'training'] = 'batch',
    ) -> None:
        super().__init__()
        for name, value in dict(buffers=buffers, mode=mode).items():
            if value not in CHOICES[name]:
                raise UserError(f'teacher: {name} is {value!r}, choose one of {CHOICES[name]}')
        for name, value in dict(interval=interval, epoch_length=epoch_length).items():
            if value is not None and value < 1:
                raise UserError(f'teacher: {name} is {value}, it must be 1 or more iterations')
        self.network = deepcopy(student).requires_grad_(False)
        self.alpha = alpha
        self.threshold = threshold
        self.warm_up = warm_up
        self.interval = interval
        self.epoch_length = epoch_length
        self.buffer_rule = buffers
        self.mode = mode

    def follow(self, student: nn.Module) -> None:
        """Become a copy of the student, e.g. of its initial weights."""
        self.network.load_state_dict(student.state_dict())

    def momentum(self, iteration: int) -> float:
        """The EMA momentum at an iteration, counted from 0."""
        return min(1 - 1 / (iteration + 1), self.alpha) if self.warm_up else self.alpha

    def is_due(self, iteration: int) -> bool:
        """Whether an iteration, counted from 0, updates the teacher."""
        if self.epoch_length is not None:
            iteration %= self.epoch_length
        return iteration % self.interval == 0

    @torch.no_grad()
    def update(self, student: nn.Module, iteration: int) -> None:
        """Move towards the student as it is *before* step ``iteration``, counted from 0."""
        if not self.is_due(iteration):
            return
        share = 1 - self.momentum(iteration)
        own, new = list(self.network.parameters()), list(student.parameters())
        torch._foreach_lerp_(own, new, share)
        if self.buffer_rule != 'own':
            for buffer, value in zip(self.network.buffers(), student.buffers(), strict=True):
                averaged = self.buffer_rule == 'averaged' and buffer.is_floating_point()
                buffer.lerp_(value, share) if averaged else buffer.copy_(value)

    @torch.no_grad()
    def answer(self, images: Tensor) -> Answer:
        """Features and logits of ``images`` (B, 3, H, W)."""
        return Answer(images, self.network.infer(images), self.network.align_corners)

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps (B, D_i, h_i, w_i) of ``images`` (B, 3, H, W), without the head."""
        return self.network.features(images)

    def train(self, mode: bool = True) -> 'Teacher':
        super().train(mode and self.mode != 'evaluation')
        if self.mode == 'batch':
            for module in self.network.modules():
                if isinstance(module, _DropoutNd) or type(module).__name__ == 'DropPath':
                    module.eval()
        return self
