"""Convert the labels of SYNTHIA (RAND-CITYSCAPES) to Cityscapes train ids and count the classes."""

import sys
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg_uda.errors import run_cli
from tools.convert_datasets._command import parse


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse(argv, __doc__, 'GT/LABELS')
    from mmseg_uda.preparation.conversion import convert_label_images
    from mmseg_uda.preparation.raw_labels import SYNTHIA

    convert_label_images(SYNTHIA, args.root, args.gt_dir, args.out_dir, args.nproc)


if __name__ == '__main__':
    run_cli(main)
