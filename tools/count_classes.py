"""Count the classes of your own labels, for rare class sampling.

    python tools/count_classes.py data/simulator --label-dir labels --suffix _labelTrainIds.png

writes sample_class_stats.json and samples_with_class.json into data/simulator. Labels are 8-bit
one-channel images of train ids, 255 = ignore. The labels of GTA, SYNTHIA, Cityscapes and Mapillary
are counted by tools/convert_datasets.
"""

import argparse
import sys
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
    args = parser.parse_args(argv)
    from tqdm import tqdm

    from mmseg_uda.datasets.image_files import decode
    from mmseg_uda.datasets.statistics import count_classes, write_statistics

    folder = Path(args.root) / args.label_dir
    paths = sorted(map(str, folder.rglob(f'*{args.suffix}')))
    if not paths:
        raise UserError(f'{folder} holds no file that ends in {args.suffix}')
    samples = []
    for path in tqdm(paths, desc='count', unit='label'):
        label = decode(path, -1)  # as it is stored
        if label.ndim != 2 or label.dtype != 'uint8':
            raise UserError(f'{path}: {label.dtype}, {label.shape}; a label is 8-bit, one channel')
        samples.append((path, count_classes(label)))
    write_statistics(args.root, samples)


if __name__ == '__main__':
    run_cli(main)
