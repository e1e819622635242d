"""Base class of all methods: a student and its training step."""

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
from mmseg_uda.models.forward_pass import ForwardPass, Supervision
from mmseg_uda.random import seed_all
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components.distributed import average_gradients
from mmseg_uda.uda.components.draws import StepDraws
from mmseg_uda.uda.step import Losses, Step


class UDAMethod(BaseModel):
    """Wraps one segmentor, the *student*, and defines one training step.

    A method implements :meth:`passes`, a generator that yields the losses of one student pass at a
    time. Each item is back-propagated before the next one is requested, so only one graph is in
    memory. After the last, there is one gradient all-reduce and one optimiser step.

    All state that a resumed run needs is in buffers or sub-modules (or in the extra state, as the
    iteration here), hence in checkpoints.

    Args:
        segmentor: config of the student, e.g. ``dict(type='Segmentor', ...)``.
        data_preprocessor: config; default ``UDADataPreProcessor`` with ImageNet's mean and std.
        seed: determines, with the iteration, all random draws of the method.
        addons: name -> config of a :class:`mmseg_uda.uda.addon.AddOn`; ``None`` for no add-on.
    """

    needs_target = True
    """Whether it trains on target images."""
    makes_pseudo_labels = False
    """Whether it labels target images and calls the hooks of add-ons for that."""

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
        """Called when training starts with a checkpoint's student (``load_from``)."""

    def problems(self, data: TrainingData) -> Iterator[str]:
        """Before training: what does not fit the data, one sentence each."""
        yield from self.student.problems(data.num_classes)
        yield from self.student.size_problems('source images', data.source_size)
        yield from self.student.size_problems('target images', data.target_size)
        if self.needs_target and data.target_size is None:
            yield f'{type(self).__name__} needs target images: set train_dataloader.dataset.target'
        labelled = any(host.makes_pseudo_labels for host in (self, *self.addons.values()))
        for name, addon in self.addons.items():
            if addon.needs_pseudo_labels and not labelled:
                yield (
                    f'model.addons.{name} ({type(addon).__name__}) has no effect in '
                    f'{type(self).__name__}, which makes no pseudo-labels: remove it'
                )
            yield from addon.problems(data)

    @abstractmethod
    def passes(self, step: Step) -> Iterator[Losses]:
        """Yield the losses of one student pass after the other.

        Entries with ``loss`` in their names are summed and back-propagated; the others are logged.
        """

    def begin(self, batch: UDABatch) -> Step:
        """Start a training step on a batch."""
        trained = batch.target if self.needs_target else batch.source
        return Step(
            batch,
            self.student,
            self.draw(len(trained.images)),
            self.iteration,
            pasted=batch.source,
            mean=self.data_preprocessor.mean,
            std=self.data_preprocessor.std,
            addons=tuple(self.addons.values()),
            trains_on_target=self.needs_target,
        )

    def draw(self, batch_size: int) -> StepDraws:
        """The random draws of this step."""
        return StepDraws(self.seed, self.iteration, batch_size)

    def supervise_source(
        self, step: Step, images: Tensor | None = None, weight: Tensor | None = None
    ) -> Supervision:
        """A student pass on the source images with labels, and the add-ons' losses.

        Args:
            images: (B, 3, H, W), augmented source images; default: the batch's.
            weight: (B, H, W), factor of each pixel's cross entropy; default: 1.
        """
        source = step.batch.source
        images = source.images if images is None else images
        supervision = self.student.supervise(images, source.labels, weight)
        for addon in step.addons:
            supervision.losses |= addon.source_losses(step, supervision)
        return supervision

    def target_losses(self, step: Step, target: ForwardPass) -> Losses:
        """The add-ons' losses on a student pass on the target images."""
        losses: Losses = {}
        for addon in step.addons:
            losses |= addon.target_losses(step, target)
        return losses

    def further_passes(self, step: Step) -> Iterator[Losses]:
        """The losses of the add-ons' own student passes."""
        for addon in step.addons:
            yield from addon.passes(step)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> Losses:
        """One training step; returns the values to log as 0-dim tensors on the device.

        Args:
            data: a collated batch, see ``collate_domains``.
        """
        # Dropout and other draws inside networks depend on (seed, iteration, rank) alone.
        seed_all(self.seed, self.iteration, rank=get_rank())
        step = self.begin(self.data_preprocessor(data, training=True))
        logs = self.backward_passes(step, optim_wrapper)
        average_gradients(self)
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        self.after_step(step)
        self.iteration += 1
        return logs

    def backward_passes(self, step: Step, optim_wrapper: OptimWrapper) -> Losses:
        """Run :meth:`passes` and back-propagate each item; gradients are summed."""
        passes, logs = self.passes(step), {}
        while (values := self._backward_next(passes, optim_wrapper)) is not None:
            total = values.pop('loss') + logs.get('loss', 0)
            logs |= values | {'loss': total}
        return logs

    def _backward_next(
        self, passes: Iterator[Losses], optim_wrapper: OptimWrapper
    ) -> Losses | None:
        """The values to log of the next pass, whose graph is freed on return; None: no more."""
        with optim_wrapper.optim_context(self):
            losses = next(passes, None)
        if losses is None:
            return None
        loss, values = self.parse_losses(losses)
        optim_wrapper.backward(loss)
        return {name: value.detach() for name, value in values.items()}

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step."""
        for addon in step.addons:
            addon.after_step(step)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'predict'
    ) -> Any:
        """Segment images (B, 3, H, W) with the student, for evaluation during training."""
        return self.student(inputs, data_samples, mode=mode)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        self.iteration = int(state)


def prefixed(losses: Losses, prefix: str) -> Losses:
    """``losses`` with ``prefix`` before every name."""
    return {f'{prefix}{name}': value for name, value in losses.items()}
