#!/usr/bin/env python
"""Evaluate a checkpoint, show its predictions, or write them for a test server."""

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.engine.launch import joined_processes
from mmseg_uda.errors import UserError, run_cli

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch.utils.data import DataLoader

EVAL_OPTIONS = ('imgfile_prefix', 'to_label_id')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(
        description=__doc__,
        epilog='At least one of --eval, --show-dir and --format-only says what to do. '
        'Several GPUs: torchrun --nproc_per_node N tools/test.py ... --launcher pytorch',
    )
    parser.add_argument(
        'config',
        help='config that the checkpoint was trained with: ours, or the .json that came with a '
        'published checkpoint of DAFormer, HRDA or SePiCo',
    )
    parser.add_argument(
        'checkpoint',
        help='.pth file; with --eval also a folder: all its checkpoints are tested, the best is '
        'copied to model_best.pth',
    )
    parser.add_argument(
        '--eval', nargs='+', choices=['mIoU'], help='score the test set of the config'
    )
    parser.add_argument(
        '--scales',
        nargs='+',
        type=float,
        default=[1.0],
        metavar='FACTOR',
        help="average the class probabilities over the network's input resized by these factors, "
        'e.g. 0.7 1.0 1.3',
    )
    parser.add_argument('--flip', action='store_true', help='and over the mirrored image')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture of each prediction')
    parser.add_argument(
        '--opacity',
        type=float,
        default=0.5,
        help='of the class colours, 0..1 (default 0.5); 1 writes palette PNGs of train ids',
    )
    parser.add_argument(
        '--format-only',
        action='store_true',
        help='write label PNGs for a test server; needs no labels (see --eval-options)',
    )
    parser.add_argument(
        '--eval-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='imgfile_prefix=DIR: folder of --format-only; to_label_id=True: write Cityscapes '
        'label ids instead of train ids',
    )
    parser.add_argument(
        '--network',
        choices=['student', 'teacher', 'mic_teacher'],
        default='student',
        help="default: student; mic_teacher: MIC's own, if it has one",
    )
    parser.add_argument(
        '--work-dir',
        '--out-dir',
        metavar='DIR',
        help='folder for scores.json and scores.csv; default: test-<checkpoint>-<network> beside '
        'the checkpoint. Scores made with other settings are not overwritten',
    )
    parser.add_argument(
        '--test-set',
        nargs='?',
        const='test',
        metavar='CONFIG',
        help="the folders test of CONFIG's data instead of val; or a config whose test_set "
        "replaces CONFIG's own, e.g. configs/_base_/datasets/test_sets/night_driving.py",
    )
    parser.add_argument(
        '--inference-mode',
        choices=['same', 'whole', 'slide'],
        default='same',
        help='whole images, or windows of the size of the training crop that overlap by half; '
        "default: as CONFIG's test_cfg says",
    )
    parser.add_argument(
        '--hrda-out',
        choices=['LR', 'HR', 'ATT'],
        help='of HRDA: the prediction by the context (LR) or by the details (HR) alone, or grey '
        'pictures of where the details count (ATT, with --show-dir)',
    )
    parser.add_argument(
        '--aug-test',
        action='store_true',
        help='average the class probabilities over the image file resized by 0.5, 0.75, ..., 1.75 '
        'and flips: the test-time augmentation of mmseg 0.x',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='change the config, e.g. test_dataloader.dataset.data_root=DIR',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch'], default='none', help='pytorch: below torchrun'
    )
    parser.add_argument('--out', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.out:
        parser.error(
            f'--out {args.out}: there is no such file of results; --eval writes scores.json into '
            '--work-dir DIR, --show-dir and --format-only write the predictions'
        )
    if not (args.eval or args.show_dir or args.format_only):
        parser.error('nothing to do: add --eval mIoU, --show-dir DIR or --format-only')
    if args.eval and args.format_only:
        parser.error('--eval needs labels and --format-only is for sets without: choose one')
    if min(args.scales) <= 0:
        parser.error(f'--scales {min(args.scales)}: a factor is above 0')
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity is {args.opacity}, it must be in 0..1')
    if args.hrda_out == 'ATT' and (not args.show_dir or args.eval or args.format_only):
        parser.error('--hrda-out ATT is a picture: it goes with --show-dir alone')
    views = args.flip or args.scales != [1.0]
    if args.hrda_out == 'ATT' and (args.aug_test or views):
        parser.error('--hrda-out ATT shows one view of an image: leave out the other views')
    if args.aug_test and views:
        parser.error('--aug-test has its own scales and flips: leave out --scales and --flip')
    args.eval_options = export_options(parser, args)
    args.cfg_options = parse_overrides(args.cfg_options)
    return args


def export_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    """The checked ``--eval-options``."""
    options: dict[str, Any] = {}
    for item in args.eval_options:
        key, _, value = item.partition('=')
        if key not in EVAL_OPTIONS or not value:
            parser.error(f'--eval-options {item}: give {" or ".join(EVAL_OPTIONS)} as KEY=VALUE')
        options[key] = value
    if args.format_only and 'imgfile_prefix' not in options:
        parser.error('--format-only needs a folder: --eval-options imgfile_prefix=DIR')
    if options and not args.format_only:
        parser.error('--eval-options belong to --format-only')
    if (flag := options.get('to_label_id', 'False').lower()) not in ('true', 'false'):
        parser.error(f'--eval-options to_label_id={flag}: it must be True or False')
    options['to_label_id'] = flag == 'true'
    return options


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(argv)

    from mmengine.device import get_device
    from mmengine.utils.dl_utils import set_multi_processing

    import mmseg_uda.register  # noqa: F401 - first: it keeps the libraries' remarks off the screen
    from mmseg_uda.engine.train import load_config
    from mmseg_uda.evaluation import modes as test_modes
    from mmseg_uda.evaluation.inference import build_segmentor, build_test_loader

    config = load_config(args.config, args.cfg_options, test_set=args.test_set)
    test_modes.set_inference_mode(config, args.inference_mode)
    if args.hrda_out:
        test_modes.set_hrda_output(config, args.hrda_out)
    set_multi_processing(**config.get('env_cfg', {}).get('mp_cfg', {}))

    def test(args: argparse.Namespace) -> Any:
        segmentor = build_segmentor(config, args.checkpoint, args.network, get_device())
        loader_config = copy.deepcopy(config)
        if args.aug_test:
            data = loader_config.test_dataloader.dataset
            data.pipeline = test_modes.augmented_pipeline(
                data.pipeline, labels=bool(args.eval), size_divisor=segmentor.size_divisor
            )
        loader = build_test_loader(loader_config, labels=bool(args.eval))
        classes = loader.dataset.metainfo['classes']
        if segmentor.num_classes != len(classes):
            raise UserError(
                f'config {args.config}: the network has {segmentor.num_classes} classes, '
                f'the test set {len(classes)}'
            )
        if args.hrda_out == 'ATT':
            return show_attention(args, segmentor, loader)
        segmentor = test_modes.AugmentedSegmentor(segmentor) if args.aug_test else segmentor
        return run(args, config, segmentor, loader)

    with joined_processes() if args.launcher == 'pytorch' else nullcontext():
        if Path(args.checkpoint).is_dir():
            test_folder(args, test)
        else:
            test(args)


def test_folder(args: argparse.Namespace, test: Callable[[argparse.Namespace], Any]) -> None:
    """Test every checkpoint of a folder, each into a folder of its own; write them up together."""
    from mmengine.dist import is_main_process

    from mmseg_uda.evaluation.folder import BEST, RESULTS, checkpoints_below, save_results

    if not args.eval:
        raise UserError(f'{args.checkpoint} is a folder: it can only be tested with --eval mIoU')
    folder = Path(args.checkpoint)
    checkpoints = checkpoints_below(folder)
    work_dir = Path(args.work_dir or folder.parent / f'test-{folder.name}-{args.network}')
    metrics = []
    for path in checkpoints.values():
        pictures = args.show_dir and str(Path(args.show_dir, path.stem))
        its_own = dict(checkpoint=path, work_dir=str(work_dir / path.stem), show_dir=pictures)
        metrics.append(test(argparse.Namespace(**vars(args) | its_own)))
    if is_main_process():
        classes = metrics[0].dataset_meta['classes']
        save_results(work_dir, checkpoints, [metric.scores for metric in metrics], classes)
        print(f'all scores: {work_dir / RESULTS}, best: {work_dir / BEST}')


def run(args: argparse.Namespace, config: 'Config', segmentor: Any, loader: 'DataLoader') -> Any:
    """One pass over the test set, feeding whatever was asked for; returns the metric if any."""
    from mmengine.dist import is_main_process

    from mmseg_uda.evaluation import export
    from mmseg_uda.evaluation.inference import Views, predict, train_ids

    metainfo = loader.dataset.metainfo
    evaluator = build_evaluator(args, config, metainfo) if args.eval else None
    paths = [info['img_path'] for info in loader.dataset.infos]
    names = dict(zip(paths, export.output_names(paths), strict=True))
    pictures, labels = args.show_dir, args.eval_options.get('imgfile_prefix')
    with export.BackgroundWriter() as writer:
        for samples in predict(segmentor, loader, Views(tuple(args.scales), args.flip)):
            if evaluator is not None:
                evaluator.process(data_samples=samples)
            for sample in samples if pictures or labels else ():
                ids, name = train_ids(sample), f'{names[sample.img_path]}.png'
                if pictures:
                    target = Path(pictures, name)
                    look = metainfo['palette'], args.opacity
                    writer.submit(export.write_picture, target, sample.img_path, ids, *look)
                if labels:
                    ids = export.to_label_ids(ids) if args.eval_options['to_label_id'] else ids
                    writer.submit(export.write_label, Path(labels, name), ids)
    if evaluator is not None:
        evaluator.evaluate(len(loader.dataset))
    if is_main_process():
        if evaluator is not None:
            print(f'scores:   {Path(args.work_dir) / "scores.json"} (and .csv)')
        if pictures:
            print(f'pictures: {pictures}')
        if labels:
            print(f'labels:   {labels}')
    return evaluator and evaluator.metrics[0]


def show_attention(args: argparse.Namespace, segmentor: Any, loader: 'DataLoader') -> None:
    """One pass over the test set for grey pictures of the scale attention."""
    from mmengine.dist import is_main_process

    from mmseg_uda.evaluation import export
    from mmseg_uda.evaluation.inference import attention_maps

    paths = [info['img_path'] for info in loader.dataset.infos]
    names = dict(zip(paths, export.output_names(paths), strict=True))
    with export.BackgroundWriter() as writer:
        for maps in attention_maps(segmentor, loader):
            for path, values in maps:
                target = Path(args.show_dir, f'{names[path]}.png')
                writer.submit(export.write_label, target, values)
    if is_main_process():
        print(f'pictures: {args.show_dir}')


def build_evaluator(args: argparse.Namespace, config: 'Config', metainfo: dict) -> Any:
    """The config's test evaluator; its files go to ``args.work_dir``, which is made now."""
    from mmengine.evaluator import Evaluator

    from mmseg_uda import __version__
    from mmseg_uda.errors import BUILD_ERRORS
    from mmseg_uda.evaluation import SegmentationMetric
    from mmseg_uda.files import sha256

    checkpoint = Path(args.checkpoint)
    if args.work_dir is None:
        args.work_dir = str(checkpoint.parent / f'test-{checkpoint.stem}-{args.network}')
    try:  # before hours of inference
        os.makedirs(args.work_dir, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'cannot make {args.work_dir} ({error.strerror}): choose another --work-dir'
        ) from error
    try:
        evaluator = Evaluator(config.test_evaluator)
    except BUILD_ERRORS as error:
        raise UserError(f'config {args.config}: test_evaluator: {error}') from error
    evaluator.dataset_meta = metainfo
    settings = dict(
        checkpoint=str(checkpoint.resolve()),
        checkpoint_sha256=sha256(checkpoint),
        network=args.network,
        scales=args.scales,
        flip=args.flip,
        config=str(Path(args.config).resolve()),
        test_set=args.test_set,
        inference_mode=args.inference_mode,
        hrda_out=args.hrda_out,
        aug_test=args.aug_test,
        cfg_options=args.cfg_options,
    )
    refuse_other_results(Path(args.work_dir, 'scores.json'), settings)
    for metric in evaluator.metrics:
        if isinstance(metric, SegmentationMetric):
            metric.out_dir = args.work_dir
            date = time.strftime('%Y-%m-%d %H:%M:%S')
            metric.meta = dict(**settings, date=date, version=__version__)
    return evaluator


def refuse_other_results(path: Path, settings: dict[str, Any]) -> None:
    """Check that to write scores to ``path`` replaces none that were made with other settings.

    A checkpoint is known by its content, a config by its file's name: folders may be moved.

    Raises:
        UserError: it holds others; says what differs.
    """
    from mmseg_uda.evaluation.comparison import read_scores
    from mmseg_uda.settings import differences

    if not path.exists():
        return
    old = read_scores(path).get('meta', {})
    keys = old.keys() & settings.keys()
    if 'checkpoint_sha256' in keys:  # scores of before have the path alone
        keys.discard('checkpoint')

    def compared(meta: dict[str, Any]) -> dict[str, Any]:
        return {key: Path(meta[key]).name if key == 'config' else meta[key] for key in sorted(keys)}

    if changed := differences(compared(old), compared(settings)):
        raise UserError(
            f'{path.parent} holds scores made with other settings ({changed[0]}): choose another '
            '--work-dir, or delete that one'
        )


if __name__ == '__main__':
    run_cli(main)
