"""Time and memory of a training step, compared with its network passes alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from torch import Tensor, nn

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
    images: int,
    num_classes: int = 19,
    cell: int = 32,
    target_size: tuple[int, int] | None = None,
    target_images: int | None = None,
    views: int = 0,
) -> dict:
    """A collated training batch of noise with labels in square cells, see ``collate_domains``.

    The target has every field that a method can use.

    Args:
        size: (height, width) of the source images.
        images: number of source images.
        cell: side of the label cells in pixels.
        target_size: (height, width) of the target images; default ``size``.
        target_images: number of target images; default ``images``.
        views: number of clean and of noisy views of each target image; 0 = none.
    """
    target_size, target_images = target_size or size, target_images or images
    height, width = size
    cells = torch.randint(
        0, num_classes, (images, -(-height // cell), -(-width // cell)), dtype=torch.uint8
    )
    label = cells.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width]
    noise = partial(torch.randint, 0, 256, (target_images, 3, *target_size), dtype=torch.uint8)
    valid = torch.ones(target_images, *target_size, dtype=torch.uint8)
    depth = torch.rand(target_images, *target_size) * 255
    target = dict(image=noise(), valid=valid, day=noise(), depth=depth)
    if views:
        target['views'] = _random_views(target_images, views, target_size)
    source = torch.randint(0, 256, (images, 3, *size), dtype=torch.uint8)
    return dict(source=dict(image=source, label=label), target=target)


def training_batch(config: Config, device: str) -> dict:
    """A :func:`random_batch` on a device, with the numbers and sizes of images of the config."""
    loader = config.train_dataloader
    pipelines = {
        domain: dataset_configs(loader.dataset[domain])[0].pipeline
        for domain in ('source', 'target')
    }
    source, target = (loader.batch_size * size for size in loader.dataset.get('block', (1, 1)))
    views = (step.get('number', 4) for step in pipelines['target'] if step.type == 'MakeViews')
    batch = random_batch(
        _crop_size(pipelines['source']),
        source,
        target_size=_crop_size(pipelines['target']),
        target_images=target,
        views=next(views, 0),
    )
    return _moved(batch, device)


def _moved(batch: dict, device: str) -> dict:
    return {
        name: _moved(value, device) if isinstance(value, dict) else value.to(device)
        for name, value in batch.items()
    }


def _crop_size(pipeline: Sequence[Mapping]) -> tuple[int, int]:
    """(height, width) of the images that a pipeline makes."""
    crop = next((step.crop_size for step in pipeline if step.get('crop_size')), None)
    return tuple(crop or (pipeline[0].get('size') or pipeline[0].scale)[::-1])


def _random_views(images: int, number: int, size: tuple[int, int]) -> dict:
    """Clean and noisy views as collated: zoomed by up to 2 and flipped or not."""
    zoom = 1 + torch.rand(images, number)
    flip = torch.randint(0, 2, (images, number)) * 2 - 1
    geometry = torch.zeros(images, number, 2, 3)
    geometry[..., 0, 0], geometry[..., 1, 1] = zoom * flip, zoom
    shape = images, number, 3, *size
    return {
        name: dict(image=torch.randint(0, 256, shape, dtype=torch.uint8), geometry=geometry)
        for name in ('clean', 'noisy')
    }


def measure_step(method: UDAMethod, optim_wrapper, data: dict, repeats: int = 10) -> StepCost:
    """Measure whole steps and their network passes alone, in turn.

    One step is recorded: every student pass (forward with the heads that it used, cross entropy,
    backward), every teacher inference and every pass of a frozen encoder. Each is then replayed on
    the same inputs.

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
    """A recorded pass of a network: the call, and which heads were run on its features."""

    name: str
    network: nn.Module
    call: Callable
    args: tuple
    heads: set[str] = field(default_factory=set)

    def replay(self, method: UDAMethod, optim_wrapper) -> None:
        """Run the pass again; a student's with losses and backward pass."""
        student = self.name == 'student'
        with torch.set_grad_enabled(student), optim_wrapper.optim_context(method):
            ends = self._ends(method, self.call(*self.args))
        if student:
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
                passes.append(_Pass(name, network, call, args, heads))
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
