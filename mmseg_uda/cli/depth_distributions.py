"""Make the bank of source crops that CDDA compares target images with.

    python tools/depth_distributions.py configs/cdda/CONFIG.py --out preprocessed/gta_daformer

counts the pixels of each class at each depth in crops of the config's source, which needs labels,
class statistics and depth maps. A run that was broken off goes on where it stopped. The bank
belongs to the config's data set, scale, crop size and sampling.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import UserError, run_cli
from mmseg_uda.files import exclusive


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the training')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the bank')
    add_options(parser)
    parser.add_argument(
        '--published',
        metavar='NAME',
        help='write the published form too: images/, labels/, depth/, <NAME>_<N>_distribution.pth',
    )
    args = parser.parse_args(argv)
    make(args, args.config, args.out, crops=args.published is not None, matrix=args.published)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this command and of ``run_seg.py``."""
    parser.add_argument(
        '--rows', type=int, metavar='N', help='crops; default: as many as the source has images'
    )
    parser.add_argument('--nproc', type=int, default=4, metavar='K', help='processes (%(default)s)')
    parser.add_argument('--seed', type=int, help="of the draws; default: the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )


def make(args: argparse.Namespace, config: str, out: str, crops: bool, matrix: str | None) -> None:
    """Make a bank, and if ``matrix`` names a data set the published matrix of it."""
    if args.nproc < 1:
        raise UserError(f'--nproc {args.nproc}: give at least 1')
    with _training_data(args, config) as dataset, exclusive(Path(out)):
        from mmseg_uda.preparation.depth_bank import make_bank, write_matrix

        bank = make_bank(dataset, out, args.rows, args.nproc, crops)
        print(f'{out}: {len(bank)} crops of {bank.crop_size[0]}x{bank.crop_size[1]}')
        if matrix is not None:
            write_matrix(bank, Path(out, f'{matrix}_{len(bank)}_distribution.pth'))


def count_stored(args: argparse.Namespace, config: str, out: str, name: str) -> None:
    """Write the published matrix of the crops in ``out`` (``labels/``, ``depth/``)."""
    with _training_data(args, config) as dataset, exclusive(Path(out)):
        from mmseg_uda.preparation.depth_bank import count_crops, fingerprint

        made_with = fingerprint(dataset, args.rows)
        rows, classes = made_with['rows'], made_with['num_classes']
        count_crops(Path(out), rows, classes, Path(out, f'{name}_{rows}_distribution.pth'))


@contextmanager
def _training_data(args: argparse.Namespace, config: str) -> Iterator[dict]:
    """The config of the training data; inside, mmseg's registries can build it."""
    overrides = parse_overrides(args.cfg_options)
    from mmengine.registry import DefaultScope

    import mmseg_uda.register  # noqa: F401
    from mmseg_uda.engine.train import load_config

    settings = load_config(config, overrides, args.seed)
    if 'train_dataloader' not in settings:
        raise UserError(f'config {config} says nothing of training data')
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield settings.train_dataloader.dataset


if __name__ == '__main__':
    run_cli(main)
