"""Time and memory of a training step, compared with its network passes alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from benchmarks.cost import Cost, peak_bytes, time_in_turn
from mmseg_uda.datasets.segmentation import dataset_configs
from mmseg_uda.models.forward_pass import ForwardPass, Supervision
from mmseg_uda.models.precision import set_precision
from mmseg_uda.uda.method import UDAMethod


@dataclass(frozen=True)
class StepCost:
    """Cost of one training step and of its bare network passes.

    Peaks include the resident bytes: weights and optimiser state.

    Attributes:
        step: the whole step.
        passes: all its network passes; the peak is that of the most expensive pass.
        calls: number of the network passes of a step, by name.
    """

    step: Cost
    passes: Cost
    calls: dict[str, int]


def build_method(config: Config, device: str) -> tuple[UDAMethod, nn.Module]:
    """The method of ``config`` with random weights, and its optimiser wrapper."""
    set_precision(config)
    method = MODELS.build(config.model).to(device).train()
    if config.get('channels_last'):
        method.to(memory_format=torch.channels_last)
    return method, build_optim_wrapper(method, config.optim_wrapper)


def random_batch(
    size: tuple[int, int],
    images: int | tuple[int, int],
    num_classes: int = 19,
    cell: int = 32,
    target_size: tuple[int, int] | None = None,
    views: int = 0,
) -> dict:
    """A collated training batch of noise with labels in square cells, see ``collate_domains``.

    The target has every field that a method can use; views only if there is a number of them.

    Args:
        size: (height, width) of the source images.
        images: number of source and of target images; one number if they are the same.
        cell: side of the label cells in pixels.
        target_size: (height, width) of the target images; default ``size``.
        views: number of clean and of noisy views of each target image.
    """
    sources, targets = (images, images) if isinstance(images, int) else images
    target_size = target_size or size
    height, width = size
    cells = torch.randint(
        0, num_classes, (sources, -(-height // cell), -(-width // cell)), dtype=torch.uint8
    )
    label = cells.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width]

    def noise(*shape: int) -> Tensor:
        return torch.randint(0, 256, (targets, *shape, 3, *target_size), dtype=torch.uint8)

    valid = torch.ones(targets, *target_size, dtype=torch.uint8)
    depth = torch.rand(targets, *target_size) * 255
    target = dict(image=noise(), valid=valid, day=noise(), depth=depth)
    if views:
        geometry = random_geometry(targets, views)
        target['views'] = {
            name: dict(image=noise(views), geometry=geometry) for name in ('clean', 'noisy')
        }
    source = torch.randint(0, 256, (sources, 3, *size), dtype=torch.uint8)
    return dict(source=dict(image=source, label=label), target=target)


def random_geometry(images: int, views: int) -> Tensor:
    """Affine maps (B, T, 2, 3) from images to views that show 1/2 to all of their sides."""
    magnification = 1 / (0.5 + 0.5 * torch.rand(images, views, 1, 1))
    shift = (magnification - 1) * (2 * torch.rand(images, views, 2, 1) - 1)
    return torch.cat((magnification * torch.eye(2), shift), dim=-1)


def number_of_views(config: Config) -> int:
    """Number of views of each target image in the config's data; 0 if it makes none."""
    target = config.train_dataloader.dataset.target
    pipeline = dataset_configs(target)[0].pipeline if target else []
    return next((step.get('number', 4) for step in pipeline if step.type == 'MakeViews'), 0)


def training_batch(config: Config, device: str) -> dict:
    """A :func:`random_batch` on a device, with the batch size and image sizes of the config."""
    dataset, batch_size = config.train_dataloader.dataset, config.train_dataloader.batch_size
    images = tuple(batch_size * number for number in dataset.get('block', (1, 1)))
    sizes = [image_size(dataset[domain]) for domain in ('source', 'target')]
    batch = random_batch(sizes[0], images, target_size=sizes[1], views=number_of_views(config))
    return tree_map(lambda value: value.to(device), batch)


def image_size(domain: ConfigDict) -> tuple[int, int]:
    """(height, width) of the training images of a domain, from its pipeline."""
    pipeline = dataset_configs(domain)[0].pipeline
    crops = [step.crop_size for step in pipeline if step.get('crop_size')]
    first = pipeline[0]
    return tuple(crops[0] if crops else (first.get('size') or first.scale)[::-1])


def measure_step(method: UDAMethod, optim_wrapper, data: dict, repeats: int = 10) -> StepCost:
    """Measure whole steps and their network passes alone, in turn.

    One step is recorded: every student pass (forward with the heads that it used; with gradients
    also cross entropy and backward), every teacher inference and every pass of a frozen encoder.
    Each is then replayed on the same inputs.

    Args:
        data: a collated batch.
    """

    def step() -> None:
        method.train_step(data, optim_wrapper)

    step()  # unlike later steps it copies the teacher and creates states
    with _recorded(method) as recorded:
        step()
    replays = [partial(call.replay, method, optim_wrapper) for call in recorded]

    def passes() -> None:
        for replay in replays:
            replay()
        optim_wrapper.zero_grad()

    passes()
    step_times, pass_times = time_in_turn((step, passes), repeats)
    pass_peaks = []
    for replay in replays:
        pass_peaks.append(peak_bytes(replay))
        optim_wrapper.zero_grad()
    names = [call.name for call in recorded]
    resident = _bytes([method.state_dict(), optim_wrapper.state_dict()])
    return StepCost(
        Cost(*step_times, resident + peak_bytes(step)),
        Cost(*pass_times, resident + max(pass_peaks)),
        {name: names.count(name) for name in dict.fromkeys(names)},
    )


@dataclass
class _Pass:
    """A recorded pass of a network.

    Attributes:
        name: of the kind of pass.
        gradients: whether it was run with gradients.
        heads: those that were run on its features.
    """

    name: str
    network: nn.Module
    call: Callable
    args: tuple
    gradients: bool
    heads: set[str] = field(default_factory=set)

    def replay(self, method: UDAMethod, optim_wrapper) -> None:
        """Run the pass again; with gradients also the losses and the backward pass."""
        with torch.set_grad_enabled(self.gradients), optim_wrapper.optim_context(method):
            ends = self._ends(method, self.call(*self.args))
        if self.gradients:
            sum(ends).backward()

    def _ends(self, method: UDAMethod, output: Any) -> list[Tensor]:
        """Scalars at the ends of the graph of a pass."""
        features = output.features if isinstance(output, ForwardPass) else list(output)
        ends = []
        if 'decode' in self.heads:
            ends.append(output.logits)
        if 'project' in self.heads:
            ends += self.network.project(features)
        if isinstance(output, Supervision):
            return [method.parse_losses(output.losses)[0], *(end.mean() for end in ends)]
        return [end.mean() for end in ends or features]


@contextmanager
def _recorded(method: UDAMethod) -> Iterator[list[_Pass]]:
    """Record the network passes while the body runs; calls inside a pass are part of it."""
    passes: list[_Pass] = []
    patched = []
    inside = False

    def record(network: nn.Module, attribute: str, name: str) -> None:
        original = getattr(network, attribute)

        def wrapper(*args):
            nonlocal inside
            if inside:
                return original(*args)
            if attribute in ('decode', 'project'):
                passes[-1].heads.add(attribute)
            else:
                # A teacher's inference ends with logits at the images' size.
                call = network.encode_decode if attribute == 'infer' else original
                heads = {'decode'} if attribute == 'train_pass' else set()
                gradients = torch.is_grad_enabled()
                kind = name if gradients or name != 'student' else 'student without gradients'
                passes.append(_Pass(kind, network, call, args, gradients, heads))
            inside = True
            try:
                return original(*args)
            finally:
                inside = False

        setattr(network, attribute, wrapper)
        patched.append((network, attribute))

    for attribute in ('supervise', 'train_pass', 'whole_pass', 'features', 'decode', 'project'):
        record(method.student, attribute, 'student')
    for name, module in method.named_modules():
        if name.endswith('teacher.network'):
            for attribute in ('infer', 'features', 'project'):
                record(module, attribute, 'teacher')
        elif name.startswith('addons.') and name.endswith('.encoder'):
            record(module, 'forward', 'frozen encoder')
    try:
        yield passes
    finally:
        for network, attribute in patched:
            delattr(network, attribute)


def _bytes(value: Any) -> int:
    """Bytes of all tensors in nested dictionaries and lists."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(_bytes, value)) if isinstance(value, list) else 0


def evaluate_image(segmentor: nn.Module, size: tuple[int, int], device: str) -> Tensor:
    """Segment one noise image of ``size`` (H, W) as a test does; return its labels (1, H, W)."""
    segmentor.eval()
    image = torch.randn(1, 3, *size, device=device)
    with torch.no_grad():
        metas = [dict(ori_shape=size, img_shape=size, pad_shape=size)]
        return segmentor.inference(image, metas).argmax(1)
