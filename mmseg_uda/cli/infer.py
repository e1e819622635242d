"""Segment image files; write a palette PNG of train ids and a colour overlay of each."""

import argparse
import glob
import os
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli

SUFFIXES = {'.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='.pth file')
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT', help='image, folder of images, or quoted glob pattern'
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='writes DIR/labels/*.png, DIR/overlays/*.png'
    )
    parser.add_argument(
        '--network',
        choices=['student', 'teacher', 'mic_teacher'],
        default='student',
        help="default: student; mic_teacher: MIC's own teacher, if it has one",
    )
    parser.add_argument(
        '--opacity',
        type=float,
        default=0.5,
        help='opacity of the class colours in overlays, 0..1 (default 0.5); 1: no overlays',
    )
    parser.add_argument('--device', help='e.g. cpu, cuda:1; default: the first GPU, else cpu')
    args = parser.parse_args(argv)
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity is {args.opacity}, it must be in 0..1')
    return args


def find_images(inputs: list[str], out: str) -> list[Path]:
    """Return the image files of all inputs, each once; folders are searched recursively.

    Args:
        inputs: files, folders and glob patterns.
        out: folder of the predictions; files below it are not inputs.

    Raises:
        UserError: no image belongs to an input.
    """
    found: dict[Path, None] = {}
    for item in inputs:
        if os.path.isdir(item):
            paths = sorted(p for p in Path(item).rglob('*') if p.suffix.lower() in SUFFIXES)
            own = Path(out).resolve()  # skip predictions of an earlier run
            paths = [path for path in paths if own not in path.resolve().parents]
        elif os.path.isfile(item):
            paths = [Path(item)]
        else:
            paths = [Path(p) for p in sorted(glob.glob(item, recursive=True)) if os.path.isfile(p)]
        if not paths:
            raise UserError(f'{item}: no image found; give a file, a folder or a quoted pattern')
        found |= dict.fromkeys(paths)
    return list(found)


def main(argv: list[str] | None = None) -> None:
    """Run the command line.

    Raises:
        UserError: wrong arguments, or unreadable images (after all others are segmented).
    """
    args = parse_args(argv)
    paths = find_images(args.inputs, args.out)

    from mmengine.device import get_device
    from tqdm import tqdm

    import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
    from mmseg_uda.engine.config import load_config
    from mmseg_uda.evaluation.export import (
        BackgroundWriter,
        output_names,
        write_label,
        write_overlay,
    )
    from mmseg_uda.evaluation.inference import build_segmentor, image_predictor, test_metainfo

    config = load_config(args.config)
    names = output_names(paths)
    device = args.device or get_device()
    segmentor = build_segmentor(config, args.checkpoint, args.network, device)
    metainfo = test_metainfo(config)
    if segmentor.num_classes != len(metainfo['classes']):
        raise UserError(
            f'config {args.config}: the network has {segmentor.num_classes} classes, '
            f'test_dataloader.dataset {len(metainfo["classes"])}: set its metainfo'
        )
    palette = metainfo['palette']
    predict = image_predictor(segmentor, config)
    labels, overlays, bad = Path(args.out) / 'labels', Path(args.out) / 'overlays', []
    with BackgroundWriter() as writer:
        for path, name in tqdm(list(zip(paths, names, strict=True)), unit='img'):
            try:
                image, label = predict(path)
            except UserError as error:
                bad.append(str(error))
                continue
            writer.submit(write_label, labels / f'{name}.png', label, palette)
            if args.opacity < 1:
                target = overlays / f'{name}.png'
                writer.submit(write_overlay, target, image, label, palette, args.opacity)
    print(f'{len(paths) - len(bad)} of {len(paths)} images segmented: {args.out}')
    if bad:
        raise UserError(f'{len(bad)} of {len(paths)} images were skipped: ' + '; '.join(bad))


if __name__ == '__main__':
    run_cli(main)
