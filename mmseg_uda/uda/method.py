"""The base class of all methods: a student, and how one training step moves it."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.models.segmentors import Supervision
from mmseg_uda.random import seed_all
from mmseg_uda.uda.addon import Losses, Step, TrainingData
from mmseg_uda.uda.components.distributed import average_gradients
from mmseg_uda.uda.components.draws import StepDraws


class UDAMethod(BaseModel):
    """Wraps one segmentor, the *student*, and says how a training step moves it.

    A method implements :meth:`passes`, a generator that yields the losses of one student forward
    at a time. The step back-propagates each item before it asks for the next, so only one graph is
    alive at any moment; then it makes one gradient all-reduce and one optimiser step.

    Everything that a method must remember to go on lives in buffers or sub-modules (or in the
    extra state, as the iteration here), so a checkpoint holds it.

    Args:
        segmentor: config of the student, e.g. ``dict(type='Segmentor', ...)``.
        data_preprocessor: config; default ``UDADataPreProcessor`` with ImageNet's mean and std.
        seed: start of all random draws of the method; with the iteration it determines them.
        addons: name -> config of a :class:`mmseg_uda.uda.addon.AddOn`, called in this order.
    """

    needs_target = True
    """Whether it trains on target images."""

    def __init__(
        self,
        segmentor: dict,
        data_preprocessor: dict | None = None,
        seed: int = 0,
        addons: dict[str, dict] | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type='UDADataPreProcessor'))
        self.student = MODELS.build(segmentor)
        self.seed = seed
        self.iteration = 0
        self.addons = nn.ModuleDict(
            {name: MODELS.build(addon) for name, addon in (addons or {}).items() if addon}
        )
        for addon in self.addons.values():
            addon.set_up(self.student)

    def init_weights(self) -> None:
        self.student.init_weights()
        for addon in self.addons.values():
            addon.after_init(self.student)

    def student_loaded(self) -> None:
        """Called when training starts from a checkpoint's student instead of the initial one."""

    def problems(self, data: TrainingData) -> Iterator[str]:
        """Called before training: what does not fit the data, one sentence each."""
        yield from self.student.problems(data.num_classes)
        if self.needs_target and data.target_size is None:
            yield f'{type(self).__name__} needs target images: set train_dataloader.dataset.target'
        for addon in self.addons.values():
            yield from addon.problems(data)

    @abstractmethod
    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        """Yield the losses of one student forward after the other.

        Entries whose name contains ``loss`` are summed and back-propagated; the others are logged.
        """

    def begin(self, batch: UDABatch) -> Step:
        """Start a step: make its draws, gather what the add-ons may need."""
        return Step(
            batch,
            self.student,
            self.draw(len(batch.source.images)),
            self.iteration,
            pasted=batch.source,
            mean=self.data_preprocessor.mean,
            std=self.data_preprocessor.std,
            addons=tuple(self.addons.values()),
        )

    def draw(self, batch_size: int) -> StepDraws:
        """The random draws of this step."""
        return StepDraws(self.seed, self.iteration, batch_size)

    def supervise_source(self, step: Step, images: Tensor | None = None) -> Supervision:
        """A student forward on the source images with their labels, and the add-ons' losses.

        Args:
            images: (B, 3, H, W), augmented source images; default: as they are.
        """
        source = step.batch.source
        images = source.images if images is None else images
        supervision = self.student.supervise(images, source.labels)
        for addon in step.addons:
            supervision.losses |= addon.source_losses(step, supervision)
        return supervision

    def further_passes(self, step: Step) -> Iterator[Losses]:
        """The losses of the add-ons' own student forwards."""
        for addon in step.addons:
            yield from addon.passes(step)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> Losses:
        """One training step; returns the values to log as 0-dim tensors on the device."""
        # Dropout and other hidden draws depend on (seed, iteration, rank) alone: see random.py.
        seed_all(self.seed, self.iteration, rank=get_rank())
        batch = self.data_preprocessor(data, training=True)
        logs = self.backward_passes(batch, optim_wrapper)
        average_gradients(self)
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        self.iteration += 1
        return logs

    def backward_passes(self, batch: UDABatch, optim_wrapper: OptimWrapper) -> Losses:
        """Run :meth:`passes`, back-propagating each item; gradients add up."""
        passes = self.passes(batch)
        logs: Losses = {}
        while True:
            with optim_wrapper.optim_context(self):
                losses = next(passes, None)
            if losses is None:
                return logs
            loss, log_vars = self.parse_losses(losses)
            optim_wrapper.backward(loss)
            total = log_vars.pop('loss').detach() + logs.get('loss', 0)
            logs |= {name: value.detach() for name, value in log_vars.items()} | {'loss': total}
            del losses, loss, log_vars  # free this graph before the next forward

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'predict'
    ) -> Any:
        """Segment images with the student: evaluation during training."""
        return self.student(inputs, data_samples, mode=mode)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        self.iteration = int(state)


def prefixed(losses: Losses, prefix: str) -> Losses:
    """``losses`` with ``prefix`` before every name."""
    return {f'{prefix}{name}': value for name, value in losses.items()}
