"""Evaluate a checkpoint, write pictures of its predictions, or label files for a test server."""

import argparse
from typing import Any

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import run_cli

EVAL_OPTIONS = ('imgfile_prefix', 'to_label_id')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(
        description=__doc__,
        epilog='At least one of --eval, --show-dir and --format-only is needed. '
        'Several GPUs: torchrun --nproc_per_node N -m mmseg_uda.cli.test ... --launcher pytorch',
    )
    parser.add_argument(
        'config',
        help='config that the checkpoint was trained with, or the .json file of a published '
        'checkpoint of DAFormer, HRDA or SePiCo',
    )
    parser.add_argument(
        'checkpoint',
        help='.pth file; with --eval also a folder: all its checkpoints are tested, and the best '
        'one is copied to model_best.pth',
    )
    parser.add_argument(
        '--eval', nargs='+', choices=['mIoU'], help='evaluate on the test set of the config'
    )
    parser.add_argument(
        '--scales',
        nargs='+',
        type=float,
        default=[1.0],
        metavar='FACTOR',
        help="average class probabilities over the network's input resized by these factors, "
        'e.g. 0.7 1.0 1.3',
    )
    parser.add_argument('--flip', action='store_true', help='also average over mirrored images')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture of each prediction')
    parser.add_argument(
        '--opacity',
        type=float,
        default=0.5,
        help='opacity of the class colours, 0..1 (default 0.5); 1: palette PNGs of train ids',
    )
    parser.add_argument(
        '--format-only',
        action='store_true',
        help='write label PNGs for a test server (see --eval-options); needs no labels',
    )
    parser.add_argument(
        '--eval-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='options of --format-only. imgfile_prefix=DIR: output folder; to_label_id=True: write '
        'Cityscapes label ids instead of train ids',
    )
    parser.add_argument(
        '--network',
        choices=['student', 'teacher', 'mic_teacher'],
        default='student',
        help="network to test (default student); mic_teacher: MIC's own teacher, if it has one",
    )
    parser.add_argument(
        '--work-dir',
        '--out-dir',
        metavar='DIR',
        help='folder for scores.json and scores.csv (default: test-<checkpoint>-<network> beside '
        'the checkpoint); scores made with other settings are not overwritten',
    )
    parser.add_argument(
        '--test-set',
        nargs='?',
        const='test',
        metavar='CONFIG',
        help='without a value: test on the folders named test instead of val; otherwise a config '
        'whose test_set is used, e.g. configs/_base_/datasets/test_sets/night_driving.py',
    )
    parser.add_argument(
        '--inference-mode',
        choices=['same', 'whole', 'slide'],
        default='same',
        help='whole images, or windows as large as the training crop that overlap by half '
        "(default: CONFIG's test_cfg)",
    )
    parser.add_argument(
        '--hrda-out',
        choices=['LR', 'HR', 'ATT'],
        help='for HRDA: predict from the context (LR) or the details (HR) only, or write grey '
        'pictures of the scale attention (ATT, with --show-dir)',
    )
    parser.add_argument(
        '--aug-test',
        action='store_true',
        help='average class probabilities over the image file resized by 0.5, 0.75, ..., 1.75 and '
        'mirrored: test-time augmentation of mmseg 0.x',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='change the config, e.g. test_dataloader.dataset.data_root=DIR',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch'],
        default='none',
        help='pytorch: with torchrun',
    )
    parser.add_argument('--out', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.out:
        parser.error(
            f'--out {args.out}: such result files are not written; --eval writes scores.json into '
            '--work-dir DIR, --show-dir and --format-only write predictions'
        )
    if not (args.eval or args.show_dir or args.format_only):
        parser.error('nothing to do: add --eval mIoU, --show-dir DIR or --format-only')
    if args.eval and args.format_only:
        parser.error('--eval needs labels, --format-only is for test sets without: choose one')
    if min(args.scales) <= 0:
        parser.error(f'--scales {min(args.scales)}: factors must be above 0')
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity is {args.opacity}, it must be in 0..1')
    if args.hrda_out == 'ATT' and (not args.show_dir or args.eval or args.format_only):
        parser.error('--hrda-out ATT writes pictures: use it with --show-dir only')
    views = args.flip or args.scales != [1.0]
    if args.hrda_out == 'ATT' and (args.aug_test or views):
        parser.error(
            '--hrda-out ATT shows one view of an image: remove --aug-test, --scales and --flip'
        )
    if args.aug_test and views:
        parser.error('--aug-test has its own scales and flips: remove --scales and --flip')
    args.eval_options = export_options(parser, args)
    args.cfg_options = parse_overrides(args.cfg_options)
    return args


def export_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    """Check and return ``--eval-options``."""
    options: dict[str, Any] = {}
    for item in args.eval_options:
        key, _, value = item.partition('=')
        if key not in EVAL_OPTIONS or not value:
            parser.error(f'--eval-options {item}: give {" or ".join(EVAL_OPTIONS)} as KEY=VALUE')
        options[key] = value
    if args.format_only and 'imgfile_prefix' not in options:
        parser.error('--format-only needs a folder: --eval-options imgfile_prefix=DIR')
    if options and not args.format_only:
        parser.error('--eval-options are for --format-only')
    if (flag := options.get('to_label_id', 'False').lower()) not in ('true', 'false'):
        parser.error(f'--eval-options to_label_id={flag}: it must be True or False')
    options['to_label_id'] = flag == 'true'
    return options


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    args = parse_args(argv)

    from mmseg_uda.engine.testing import TestOutputs, TestSettings, test

    settings = TestSettings(
        config=args.config,
        checkpoint=args.checkpoint,
        network=args.network,
        scales=args.scales,
        flip=args.flip,
        test_set=args.test_set,
        inference_mode=args.inference_mode,
        hrda_out=args.hrda_out,
        aug_test=args.aug_test,
        cfg_options=args.cfg_options,
    )
    outputs = TestOutputs(
        scores=bool(args.eval),
        work_dir=args.work_dir,
        pictures=args.show_dir,
        opacity=args.opacity,
        labels=args.eval_options.get('imgfile_prefix'),
        label_ids=args.eval_options['to_label_id'],
    )
    test(settings, outputs, args.launcher)


if __name__ == '__main__':
    run_cli(main)
