"""Count the classes of your own labels, for rare class sampling.

    mmseg-uda count-classes data/simulator --label-dir labels --suffix _labelTrainIds.png \\
        --classes road car rest

prints how many pixels each label value has, warns of what looks wrong, and writes
sample_class_stats.json and samples_with_class.json into data/simulator. Labels are one-channel
images of train ids, 255 = ignore. The labels of GTA, SYNTHIA, Cityscapes and Mapillary are counted
by mmseg-uda convert.
"""

import argparse
import sys
from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder of the data set; the files are written here')
    parser.add_argument('--label-dir', default='labels', help='below ROOT (%(default)s)')
    parser.add_argument('--suffix', default='.png', help='of the label files (%(default)s)')
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='names of the train ids 0, 1, ...; other values but 255 are then an error',
    )
    args = parser.parse_args(argv)
    import numpy as np
    from tqdm import tqdm

    from mmseg_uda.datasets.image_files import read_label_values
    from mmseg_uda.datasets.labels import IGNORE, LABEL_VALUES
    from mmseg_uda.datasets.statistics import label_warnings, write_statistics

    folder = Path(args.root) / args.label_dir
    paths = sorted(map(str, folder.rglob(f'*{args.suffix}')))
    if not paths:
        raise UserError(f'{folder} holds no file that ends in {args.suffix}')
    number = IGNORE if args.classes is None else len(args.classes)
    pixels, files = np.zeros((2, LABEL_VALUES), np.int64)
    samples, empty = [], []
    for path in tqdm(paths, desc='count', unit='label'):
        counts = np.bincount(read_label_values(path).ravel(), minlength=LABEL_VALUES)
        if (strays := np.flatnonzero(counts[number:IGNORE]) + number).size:
            raise UserError(
                f'{path}: label value {strays[0]} is neither one of the {number} classes nor '
                f'{IGNORE} (ignore): convert the labels, or mend --classes'
            )
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


def print_histogram(pixels, files, names: list[str]) -> None:
    """Print the pixels, their share and the number of label files of each label value."""
    rows = [*enumerate(names), (255, 'ignore')]
    width = max(len(name) for _, name in rows)
    print(f'value  {"class":{width}}  {"pixels":>14}   share  labels')
    for value, name in rows:
        share = pixels[value] / max(pixels.sum(), 1)
        print(f'{value:5}  {name:{width}}  {pixels[value]:14}  {share:6.2%}  {files[value]:6}')


if __name__ == '__main__':
    run_cli(main)
