"""Tests a checkpoint: scores, images of predictions and label files in one pass over the data."""

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmseg_uda import __version__
from mmseg_uda.config import locate
from mmseg_uda.engine.config import load_config
from mmseg_uda.engine.launch import joined_processes
from mmseg_uda.errors import BUILD_ERRORS, UserError, cannot_write
from mmseg_uda.evaluation import SegmentationMetric, export, modes
from mmseg_uda.evaluation.comparison import read_scores
from mmseg_uda.evaluation.folder import BEST, RESULTS, checkpoints_below, save_results
from mmseg_uda.evaluation.inference import (
    attention_maps,
    build_segmentor,
    build_test_loader,
    predict,
    train_ids,
)
from mmseg_uda.evaluation.views import FILE_VIEWS, Views
from mmseg_uda.files import sha256
from mmseg_uda.settings import differences


@dataclass(frozen=True)
class TestSettings:
    """Settings of a test that influence its scores.

    Attributes:
        config: path of the config that the checkpoint was trained with.
        checkpoint: path of a ``.pth`` file, or of a folder whose checkpoints are all tested.
        network: ``student``, ``teacher`` or ``mic_teacher``.
        scales: scale factors of the network's input; class probabilities are averaged over them.
        flip: average over mirrored images, too.
        test_set: see :func:`mmseg_uda.engine.config.load_config`.
        inference_mode: ``whole``, ``slide``, or ``same`` (as in the config).
        hrda_out: ``LR``, ``HR`` or ``ATT``, see :mod:`mmseg_uda.evaluation.modes`.
        aug_test: use the test-time augmentation of mmseg 0.x.
        cfg_options: changes of the config, dotted key -> value.
    """

    __test__ = False  # not a test class of pytest

    config: str
    checkpoint: str
    network: str = 'student'
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    test_set: str | None = None
    inference_mode: Literal['same', 'whole', 'slide'] = 'same'
    hrda_out: Literal['LR', 'HR', 'ATT'] | None = None
    aug_test: bool = False
    cfg_options: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the settings as written to ``scores.json``, with the checkpoint's SHA-256."""
        return vars(self) | dict(
            config=str(locate(self.config).resolve()),
            checkpoint=str(Path(self.checkpoint).resolve()),
            checkpoint_sha256=sha256(self.checkpoint),
            scales=list(self.scales),
            cfg_options=dict(self.cfg_options),
        )


@dataclass(frozen=True)
class TestOutputs:
    """Outputs of a test.

    Attributes:
        scores: evaluate against labels and write ``scores.json`` and ``scores.csv``.
        work_dir: their folder; default: ``test-<checkpoint>-<network>`` beside the checkpoint.
        pictures: folder of one image per prediction; None: none.
        opacity: opacity of the class colours in them, 0..1; 1 writes palette PNGs of train ids.
        labels: folder of label PNGs for a test server; None: none.
        label_ids: write Cityscapes' label ids instead of train ids to ``labels``.
    """

    __test__ = False

    scores: bool = True
    work_dir: str | None = None
    pictures: str | None = None
    opacity: float = 0.5
    labels: str | None = None
    label_ids: bool = False


def test(
    settings: TestSettings, outputs: TestOutputs = TestOutputs(), launcher: str = 'none'
) -> list[SegmentationMetric]:
    """Test a checkpoint, or every checkpoint of a folder, and write the requested outputs.

    Args:
        settings: what is tested, and how.
        outputs: what is written.
        launcher: ``pytorch`` if started by torchrun (the processes share the images), else
            ``none``.

    Returns:
        One metric per checkpoint, with its ``scores``; empty without ``outputs.scores``.

    Raises:
        UserError: an error in config, checkpoint or data, or the folder already has scores that
            were made with other settings.
    """
    config = load_config(settings.config, settings.cfg_options, test_set=settings.test_set)
    modes.set_inference_mode(config, settings.inference_mode)
    if settings.hrda_out:
        modes.set_hrda_output(config, settings.hrda_out)
    set_multi_processing(**config.get('env_cfg', {}).get('mp_cfg', {}))
    with joined_processes() if launcher == 'pytorch' else nullcontext():
        if Path(settings.checkpoint).is_dir():
            return _test_folder(config, settings, outputs)
        return _test_file(config, settings, outputs)


def _test_folder(
    config: Config, settings: TestSettings, outputs: TestOutputs
) -> list[SegmentationMetric]:
    """Test every checkpoint of a folder, each in its own sub-folder; write a joint table."""
    if not outputs.scores:
        raise UserError(
            f'{settings.checkpoint} is a folder: it can only be tested with --eval mIoU'
        )
    folder = Path(settings.checkpoint)
    checkpoints = checkpoints_below(folder)
    work_dir = Path(outputs.work_dir or folder.parent / f'test-{folder.name}-{settings.network}')
    metrics = []
    for path in checkpoints.values():
        pictures = outputs.pictures and str(Path(outputs.pictures, path.stem))
        own = replace(outputs, work_dir=str(work_dir / path.stem), pictures=pictures)
        metrics += _test_file(config, replace(settings, checkpoint=str(path)), own)
    if is_main_process():
        classes = metrics[0].dataset_meta['classes']
        save_results(work_dir, checkpoints, [metric.scores for metric in metrics], classes)
        print(f'all scores: {work_dir / RESULTS}, best: {work_dir / BEST}')
    return metrics


def _test_file(
    config: Config, settings: TestSettings, outputs: TestOutputs
) -> list[SegmentationMetric]:
    segmentor = build_segmentor(config, settings.checkpoint, settings.network, get_device())
    loader_config = copy.deepcopy(config)
    views = FILE_VIEWS if settings.aug_test else Views(tuple(settings.scales), settings.flip)
    data = loader_config.test_dataloader.dataset
    data.pipeline = views.pipeline(data.pipeline, outputs.scores, segmentor.size_divisor)
    loader = build_test_loader(loader_config, labels=outputs.scores)
    classes = loader.dataset.metainfo['classes']
    if segmentor.num_classes != len(classes):
        raise UserError(
            f'config {settings.config}: the network has {segmentor.num_classes} classes, '
            f'the test set {len(classes)}'
        )
    if settings.hrda_out == 'ATT':
        _show_attention(segmentor, loader, Path(outputs.pictures))
        return []
    evaluator, work_dir = None, _work_dir(settings, outputs)
    if outputs.scores:
        evaluator = _build_evaluator(config, settings, work_dir, loader.dataset.metainfo)
    _predict_all(segmentor, loader, views, outputs, evaluator)
    if is_main_process():
        written = {
            'scores:  ': outputs.scores and f'{work_dir / "scores.json"} (and .csv)',
            'pictures:': outputs.pictures,
            'labels:  ': outputs.labels,
        }
        for name, where in written.items():
            if where:
                print(name, where)
    return evaluator.metrics[:1] if evaluator else []


def _predict_all(
    segmentor: Any, loader: DataLoader, views: Views, outputs: TestOutputs, evaluator: Any
) -> None:
    """Predict the test set once; evaluate and write the requested outputs."""
    palette, names = loader.dataset.metainfo['palette'], _output_names(loader)
    with export.BackgroundWriter() as writer:
        for samples in predict(segmentor, loader, views):
            if evaluator is not None:
                evaluator.process(data_samples=samples)
            for sample in samples if outputs.pictures or outputs.labels else ():
                ids, name = train_ids(sample), f'{names[sample.img_path]}.png'
                if outputs.pictures:
                    colours = palette, outputs.opacity
                    target = Path(outputs.pictures, name)
                    writer.submit(export.write_picture, target, sample.img_path, ids, *colours)
                if outputs.labels:
                    ids = export.to_label_ids(ids) if outputs.label_ids else ids
                    writer.submit(export.write_label, Path(outputs.labels, name), ids)
    if evaluator is not None:
        evaluator.evaluate(len(loader.dataset))


def _show_attention(segmentor: Any, loader: DataLoader, folder: Path) -> None:
    """Predict the test set once; write grey images of HRDA's scale attention."""
    names = _output_names(loader)
    with export.BackgroundWriter() as writer:
        for maps in attention_maps(segmentor, loader):
            for path, values in maps:
                writer.submit(export.write_label, folder / f'{names[path]}.png', values)
    if is_main_process():
        print(f'pictures: {folder}')


def _output_names(loader: DataLoader) -> dict[str, str]:
    """Return image file -> name of its output files, without suffix."""
    paths = [info['img_path'] for info in loader.dataset.infos]
    return dict(zip(paths, export.output_names(paths), strict=True))


def _work_dir(settings: TestSettings, outputs: TestOutputs) -> Path:
    checkpoint = Path(settings.checkpoint)
    default = checkpoint.parent / f'test-{checkpoint.stem}-{settings.network}'
    return Path(outputs.work_dir or default)


def _build_evaluator(
    config: Config, settings: TestSettings, work_dir: Path, metainfo: dict
) -> Evaluator:
    """Build the config's test evaluator; create ``work_dir``, where it writes its files."""
    try:  # now, not after hours of inference
        work_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f'{work_dir} is a file or lies below one: choose another --work-dir'
        ) from error
    except OSError as error:
        raise cannot_write(work_dir, error) from error
    try:
        evaluator = Evaluator(config.test_evaluator)
    except BUILD_ERRORS as error:
        raise UserError(f'config {settings.config}: test_evaluator: {error}') from error
    evaluator.dataset_meta = metainfo
    record = settings.record()
    _refuse_other_results(work_dir / 'scores.json', record)
    for metric in evaluator.metrics:
        if isinstance(metric, SegmentationMetric):
            metric.out_dir = str(work_dir)
            date = time.strftime('%Y-%m-%d %H:%M:%S')
            metric.meta = dict(**record, date=date, version=__version__)
    return evaluator


def _refuse_other_results(path: Path, record: Mapping[str, Any]) -> None:
    """Check that the scores in ``path``, if any, were made with the same settings.

    Checkpoints are compared by content and configs by file name, because folders may be moved.

    Raises:
        UserError: they were made with other settings.
    """
    if not path.exists():
        return
    old = read_scores(path).get('meta', {})
    keys = old.keys() & record.keys()
    if 'checkpoint_sha256' in keys:  # scores of earlier versions have only the path
        keys.discard('checkpoint')

    def compared(meta: Mapping[str, Any]) -> dict[str, Any]:
        return {key: Path(meta[key]).name if key == 'config' else meta[key] for key in sorted(keys)}

    if changed := differences(compared(old), compared(record)):
        raise UserError(
            f'{path.parent} holds scores made with other settings ({changed[0]}): choose another '
            '--work-dir, or delete this one'
        )
