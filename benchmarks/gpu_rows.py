"""Rows of the GPU benchmark: what each measures, at full size and in a small rehearsal."""

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEVICE_TESTS = 'tests/uda/test_contract.py'
GTA_IMAGES = 24_966

# The config of each experiment, and options that make steps with random weights compute everything
# that a trained network's steps compute: contrast from the first step, CDDA for all images.
CONTRAST = {'model.start_iteration': 0}
EVERY_IMAGE = {
    'model.addons.cdda.reweight_threshold': -1.0,
    'model.addons.cdda.relabel_threshold': -1.0,
}
EXPERIMENTS: dict[int, tuple[str, dict[str, Any]]] = {
    1: ('configs/sepico/sepico_dist_dlv2_gta2cs.py', CONTRAST),
    4: ('configs/sepico/sepico_dist_mitb5_gta2cs.py', CONTRAST),
    10: ('configs/daformer/daformer_mitb5_gta2cs.py', {}),
    20: ('configs/hrda/hrda_mitb5_gta2cs.py', {}),
    25: ('configs/mic/mic_hrda_mitb5_gta2cs.py', {}),
    34: ('configs/cdda/cdda_mic_mitb5_gta2cs.py', EVERY_IMAGE),
    40: ('configs/sdca/sdca_r101_gta2cs.py', {}),
}
EVALUATED = (10, 20, 1)

# A rehearsal only changes sizes in the configs: the same add-ons run on smaller data.
SOURCE, TARGET = (f'train_dataloader.dataset.{name}.pipeline.0' for name in ('source', 'target'))
ONE = {'train_dataloader.batch_size': 1}
MIT = ONE | {'model.segmentor.backbone.arch': 'b1'}
RESNET = {'model.segmentor.backbone.depth': 50}
MARGINS = {'model.addons.margins.top': 2, 'model.addons.margins.bottom': 4}
SEPICO = (ONE | MARGINS) | {
    f'{SOURCE}.crop_size': (64, 64),
    f'{TARGET}.scale': (128, 64),
    'model.crop_size': (64, 64),
}
HRDA = MIT | {
    f'{SOURCE}.scale': (256, 144),
    f'{SOURCE}.crop_size': (128, 128),
    f'{TARGET}.crop_size': (128, 128),
    'model.segmentor.detail_size': (64, 64),
    'model.segmentor.test_cfg.crop_size': (128, 128),
    'model.segmentor.test_cfg.stride': (64, 64),
}
DAFORMER = (MIT | MARGINS) | {f'{d}.crop_size': (64, 64) for d in (SOURCE, TARGET)}
SMALL: dict[int, dict[str, Any]] = {
    1: RESNET | SEPICO,
    4: MIT | SEPICO,
    10: DAFORMER,
    20: HRDA,
    25: HRDA,
    34: HRDA,
    40: RESNET | {f'{d}.size': (128, 64) for d in (SOURCE, TARGET)} | {'total_batch_size': 1},
}


@dataclass(frozen=True)
class Setting:
    """Sizes of the rows.

    Attributes:
        device: ``cuda`` or ``cpu``.
        image: (height, width) of test images.
        rows: number of rows of CDDA's bank.
        warm_up: number of runs before timing starts.
        repeats: most timed runs.
        seconds: after 3 runs, no further run is timed once they took this long in total.
        overrides: experiment -> config options.
    """

    device: str
    image: tuple[int, int]
    rows: int
    warm_up: int
    repeats: int
    seconds: float = 15.0
    overrides: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


FULL = Setting('cuda', (1024, 2048), GTA_IMAGES, warm_up=3, repeats=10)
REHEARSAL = Setting('cpu', (128, 256), 40, warm_up=0, repeats=1, overrides=SMALL)

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        kind: ``tests``, ``step``, ``search`` or ``evaluation``.
        measure: (setting, seconds left) -> metrics.
    """

    name: str
    kind: str
    precision: str
    measure: Callable[[Setting, float], Metrics]


def all_rows() -> list[Row]:
    rows = [Row('device tests', 'tests', 'fp32, bf16', run_device_tests)]
    for experiment in EXPERIMENTS:
        for precision in ('fp32', 'bf16'):
            name, run = f'step, exp {experiment}, {precision}', partial(measure_step, experiment)
            rows.append(Row(name, 'step', precision, partial(run, precision)))
    for images in (1, 2):
        run = partial(measure_bank, images)
        rows.append(Row(f'search, {images} at a time', 'search', 'fp32', run))
    for experiment in EVALUATED:
        run = partial(measure_evaluation, experiment)
        rows.append(Row(f'evaluation, exp {experiment}', 'evaluation', 'fp32', run))
    return rows


def run_device_tests(setting: Setting, left: float) -> Metrics:
    """Run the tests marked ``cuda`` in a separate process; without a GPU all are skipped."""
    command = [sys.executable, '-m', 'pytest', '-q', '-m', 'cuda', '-p', 'no:cacheprovider']
    try:
        ended = subprocess.run(
            [*command, '--tb=short', DEVICE_TESTS],
            cwd=ROOT,
            env={**os.environ, 'PYTHONPATH': str(ROOT)},
            capture_output=True,
            text=True,
            timeout=left,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f'the tests did not finish within {left:.0f} s') from error
    output = (ended.stdout + ended.stderr).strip()
    result = output.rpartition('\n')[2]
    if ended.returncode:
        return dict(error=f'pytest: {result}', traceback=output[-20_000:])
    return dict(result=result)


def measure_step(experiment: int, precision: str, setting: Setting, left: float) -> Metrics:
    """Measure a whole training step; the batch is on the device."""
    from benchmarks.step import build_method, training_batch

    config, options = load(experiment, setting)
    if precision == 'bf16':
        config.optim_wrapper.type = 'AutocastOptimWrapper'
    with tempfile.TemporaryDirectory() as folder:
        if cdda := (config.model.get('addons') or {}).get('cdda'):
            cdda.bank = folder
            _write_bank(Path(folder), config, setting)
        method, optim_wrapper = build_method(config, setting.device)
        data, logs = training_batch(config, setting.device), {}

        def step() -> None:
            logs.update(method.train_step(data, optim_wrapper))

        metrics = _timed(step, setting)
    losses = {name: float(value) for name, value in logs.items()}
    if not math.isfinite(losses['loss']):
        raise ArithmeticError(f'the loss is {losses["loss"]} after {method.iteration} steps')
    return options | metrics | dict(images=config.train_dataloader.batch_size, losses=losses)


def _write_bank(folder: Path, config: Any, setting: Setting) -> None:
    from benchmarks.search import write_bank

    crop = config.train_dataloader.dataset.source.pipeline[0]
    write_bank(folder, setting.rows, tuple(crop.crop_size), tuple(crop.scale))


def measure_bank(images: int, setting: Setting, left: float) -> Metrics:
    """Measure the search of CDDA's bank, and its deviation from the plain formula in float64."""
    from benchmarks.search import measure_search

    cost, (other, mean, classes) = measure_search(
        setting.rows, images, setting.repeats, setting.rows, setting.device
    )
    return dict(
        rows=setting.rows,
        images=images,
        seconds=cost.seconds,
        peak_bytes=cost.peak,
        other_best_rows=other,
        largest_difference=max(mean, classes),
    )


def measure_evaluation(experiment: int, setting: Setting, left: float) -> Metrics:
    """Measure the prediction of a test image, from pixels on the device."""
    from mmseg.registry import MODELS

    from benchmarks.step import evaluate_image

    config, options = load(experiment, setting)
    segmentor = MODELS.build(config.model.segmentor).to(setting.device)
    run = partial(evaluate_image, segmentor, setting.image, setting.device)
    return options | _timed(run, setting) | dict(images=1, size=list(setting.image))


def load(experiment: int, setting: Setting) -> tuple[Any, Metrics]:
    """Load an experiment's config with random weights; also return its name and options."""
    import torch
    from mmengine.registry import init_default_scope

    from mmseg_uda.engine.config import load_config

    path, own = EXPERIMENTS[experiment]
    options = {'model.segmentor.pretrained': None} | own
    options |= setting.overrides.get(experiment, {})
    config = load_config(ROOT / path, options)
    init_default_scope('mmseg')
    torch.backends.cudnn.benchmark = config.env_cfg.cudnn_benchmark
    torch.manual_seed(0)
    return config, dict(config=path, cfg_options=options)


def _timed(run: Callable[[], Any], setting: Setting) -> Metrics:
    """Median seconds of ``run``, and its peak memory including what is on the device already."""
    from benchmarks.cost import peak_bytes, resident_bytes, seconds

    for _ in range(setting.warm_up):
        run()
    times: list[float] = []
    while len(times) < setting.repeats:
        if len(times) >= 3 and sum(times) > setting.seconds:
            break
        times.append(seconds(run))
    resident = resident_bytes()
    return dict(
        seconds=median(times),
        repeats=len(times),
        peak_bytes=resident + peak_bytes(run),
    )
