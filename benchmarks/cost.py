"""Time and memory that a computation takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

Run = Callable[[], Any]


@dataclass(frozen=True)
class Cost:
    """Time and memory of a computation.

    Attributes:
        seconds: wall-clock time including the device's work, median over the repeats.
        cpu_seconds: time of this process on its cores, median. Unlike ``seconds`` it does not
            include other work of a busy machine.
        peak: most bytes of tensors at once. Which tensors count is up to the measurement.
    """

    seconds: float
    cpu_seconds: float
    peak: int


def measure(runs: Sequence[Run], repeats: int) -> list[Cost]:
    """Measure computations in turn; their peaks do not count tensors that exist already."""
    times = time_in_turn(runs, repeats)
    return [Cost(*of_run, peak_bytes(run)) for of_run, run in zip(times, runs, strict=True)]


def time_in_turn(runs: Sequence[Run], repeats: int) -> list[tuple[float, float]]:
    """Wall-clock and CPU seconds (medians) of each computation.

    They run in turn, so that a slow phase of the machine affects all of them.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, found in zip(runs, times, strict=True):
            start = time.process_time()
            found.append((seconds(run), time.process_time() - start))
    return [tuple(map(median, zip(*found, strict=True))) for found in times]


def seconds(run: Run) -> float:
    """Wall-clock seconds that ``run`` takes, including the device's work."""
    _synchronise()
    start = time.perf_counter()
    run()
    _synchronise()
    return time.perf_counter() - start


def peak_bytes(run: Run) -> int:
    """Most bytes of tensors that ``run`` holds at once, beyond those that exist already."""
    if torch.cuda.is_available():
        _synchronise()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == '[memory]']
    changes = torch.tensor([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return int(changes.cumsum(0).max())


def resident_bytes() -> int:
    """Bytes of all tensors on the GPU now; 0 without a GPU, where they are not counted."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
