"""Testing a checkpoint: scores, pictures and label files from one pass over the test set."""

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
    """What is tested and how; with another value the scores are others.

    Attributes:
        config: path of the config that the checkpoint was trained with.
        checkpoint: path of a ``.pth`` file, or of a folder whose checkpoints are all tested.
        network: ``student``, ``teacher`` or ``mic_teacher``.
        scales: factors of the network's input over which class probabilities are averaged.
        flip: average over the mirrored images too.
        test_set: see :func:`mmseg_uda.engine.config.load_config`.
        inference_mode: ``whole``, ``slide``, or ``same`` as the config says.
        hrda_out: ``LR``, ``HR`` or ``ATT``, see :mod:`mmseg_uda.evaluation.modes`.
        aug_test: the test-time augmentation of mmseg 0.x.
        cfg_options: dotted config keys and values.
    """

    __test__ = False  # no class of tests

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
        """The settings as they stand in ``scores.json``, with the checkpoint's SHA-256."""
        return vars(self) | dict(
            config=str(locate(self.config).resolve()),
            checkpoint=str(Path(self.checkpoint).resolve()),
            checkpoint_sha256=sha256(self.checkpoint),
            scales=list(self.scales),
            cfg_options=dict(self.cfg_options),
        )


@dataclass(frozen=True)
class TestOutputs:
    """What a test writes.

    Attributes:
        scores: evaluate against labels: ``scores.json`` and ``scores.csv``.
        work_dir: their folder; default ``test-<checkpoint>-<network>`` beside the checkpoint.
        pictures: folder of a picture for each prediction.
        opacity: of the class colours in pictures, 0..1; 1 writes palette PNGs of train ids.
        labels: folder of label PNGs for a test server.
        label_ids: these hold Cityscapes' label ids instead of train ids.
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
    """Test a checkpoint, or every checkpoint of a folder, and write what ``outputs`` asks for.

    Args:
        launcher: ``pytorch`` below torchrun; the processes share the images.

    Returns:
        A metric for each checkpoint, with its ``scores``; none without ``outputs.scores``.

    Raises:
        UserError: whatever the user can mend; scores made with other settings are not replaced.
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
    """Test every checkpoint of a folder, each into a folder of its own; write them up together."""
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
        its_own = replace(outputs, work_dir=str(work_dir / path.stem), pictures=pictures)
        metrics += _test_file(config, replace(settings, checkpoint=str(path)), its_own)
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
    _pass_over(segmentor, loader, views, outputs, evaluator)
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


def _pass_over(
    segmentor: Any, loader: DataLoader, views: Views, outputs: TestOutputs, evaluator: Any
) -> None:
    """One pass over the test set, for everything that is asked for."""
    palette, names = loader.dataset.metainfo['palette'], _output_names(loader)
    with export.BackgroundWriter() as writer:
        for samples in predict(segmentor, loader, views):
            if evaluator is not None:
                evaluator.process(data_samples=samples)
            for sample in samples if outputs.pictures or outputs.labels else ():
                ids, name = train_ids(sample), f'{names[sample.img_path]}.png'
                if outputs.pictures:
                    look = palette, outputs.opacity
                    target = Path(outputs.pictures, name)
                    writer.submit(export.write_picture, target, sample.img_path, ids, *look)
                if outputs.labels:
                    ids = export.to_label_ids(ids) if outputs.label_ids else ids
                    writer.submit(export.write_label, Path(outputs.labels, name), ids)
    if evaluator is not None:
        evaluator.evaluate(len(loader.dataset))


def _show_attention(segmentor: Any, loader: DataLoader, folder: Path) -> None:
    """One pass over the test set for grey pictures of the scale attention."""
    names = _output_names(loader)
    with export.BackgroundWriter() as writer:
        for maps in attention_maps(segmentor, loader):
            for path, values in maps:
                writer.submit(export.write_label, folder / f'{names[path]}.png', values)
    if is_main_process():
        print(f'pictures: {folder}')


def _output_names(loader: DataLoader) -> dict[str, str]:
    """Image file -> name of what is written of it, without suffix."""
    paths = [info['img_path'] for info in loader.dataset.infos]
    return dict(zip(paths, export.output_names(paths), strict=True))


def _work_dir(settings: TestSettings, outputs: TestOutputs) -> Path:
    checkpoint = Path(settings.checkpoint)
    default = checkpoint.parent / f'test-{checkpoint.stem}-{settings.network}'
    return Path(outputs.work_dir or default)


def _build_evaluator(
    config: Config, settings: TestSettings, work_dir: Path, metainfo: dict
) -> Evaluator:
    """The config's test evaluator; its files go to ``work_dir``, which is made now."""
    try:  # before hours of inference
        work_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f'{work_dir}: a file is in the way of this folder, choose another --work-dir'
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
    """Check that to write scores to ``path`` replaces none that were made with other settings.

    A checkpoint is known by its content, a config by its file's name: folders may be moved.

    Raises:
        UserError: it holds others; says what differs.
    """
    if not path.exists():
        return
    old = read_scores(path).get('meta', {})
    keys = old.keys() & record.keys()
    if 'checkpoint_sha256' in keys:  # scores of before have the path alone
        keys.discard('checkpoint')

    def compared(meta: Mapping[str, Any]) -> dict[str, Any]:
        return {key: Path(meta[key]).name if key == 'config' else meta[key] for key in sorted(keys)}

    if changed := differences(compared(old), compared(record)):
        raise UserError(
            f'{path.parent} holds scores made with other settings ({changed[0]}): choose another '
            '--work-dir, or delete that one'
        )
