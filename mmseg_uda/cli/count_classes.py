"""Count the classes of your own labels, for rare class sampling.

    mmseg-uda count-classes data/simulator --label-dir labels --suffix _labelTrainIds.png \\
        --classes road car rest

prints the number of pixels of each label value, warns of suspicious values, and writes
sample_class_stats.json and samples_with_class.json to data/simulator. Labels are one-channel images
of train ids, 255 = ignore. For GTA, SYNTHIA, Cityscapes and Mapillary use mmseg-uda convert, which
counts too.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'root', metavar='ROOT', help='folder of the data set and of the written files'
    )
    parser.add_argument(
        '--label-dir', default='labels', help='folder of the labels below ROOT (%(default)s)'
    )
    parser.add_argument(
        '--suffix', default='.png', help='ending of the label file names (%(default)s)'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='names of the train ids 0, 1, ...; all other values except 255 are then errors',
    )
    args = parser.parse_args(argv)
    import numpy as np

    from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
    from mmseg_uda.datasets.statistics import label_warnings, write_statistics

    folder = Path(args.root) / args.label_dir
    paths = sorted(map(str, folder.rglob(f'*{args.suffix}')))
    if not paths:
        raise UserError(f'{folder} contains no file that ends in {args.suffix}')
    number = IGNORE if args.classes is None else len(args.classes)
    pixels, files = np.zeros((2, LABEL_VALUES), np.int64)
    samples, empty = [], []
    for path, counts in count_values(paths, number):
        pixels += counts
        files += counts > 0
        samples.append((path, counts[:number].tolist()))
        if not counts[:IGNORE].any():
            empty.append(path)
    known = np.flatnonzero(pixels[:IGNORE])
    names = args.classes or [f'class {index}' for index in range(known.max(initial=-1) + 1)]
    print_histogram(pixels, files, [*names])
    for warning in label_warnings(pixels.tolist(), names, f'the {len(paths)} labels', empty):
        print(f'warning: {warning}', file=sys.stderr)
    write_statistics(args.root, samples)


def count_values(paths: list[str], num_classes: int) -> Iterator[tuple]:
    """Yield each label file and its number of pixels per label value, int64 (256,).

    Raises:
        UserError: a damaged file, or a label value that is neither a class nor 255.
    """
    import numpy as np
    from tqdm import tqdm

    from mmseg_uda.datasets.image_files import read_label_values
    from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES

    for path in tqdm(paths, desc='count', unit='label'):
        counts = np.bincount(read_label_values(path).ravel(), minlength=LABEL_VALUES)
        if (unknown := np.flatnonzero(counts[num_classes:IGNORE]) + num_classes).size:
            raise UserError(
                f'{path}: label value {unknown[0]} is neither one of the {num_classes} classes nor '
                f'{IGNORE} (ignore): convert the labels, or correct --classes'
            )
        yield path, counts


def print_histogram(pixels, files, names: list[str]) -> None:
    """Print a table of the label values.

    Args:
        pixels: number of pixels of each label value, int64 (256,).
        files: number of label files with this value, int64 (256,).
        names: names of the values 0, 1, ...
    """
    rows = [*enumerate(names), (255, 'ignore')]
    width = max(len(name) for _, name in rows)
    print(f'value  {"class":{width}}  {"pixels":>14}   share  labels')
    for value, name in rows:
        share = pixels[value] / max(pixels.sum(), 1)
        print(f'{value:5}  {name:{width}}  {pixels[value]:14}  {share:6.2%}  {files[value]:6}')


if __name__ == '__main__':
    run_cli(main)
