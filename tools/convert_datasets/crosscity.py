"""Convert the test labels of Cross-City (Rio, Rome, Taipei, Tokyo) to Cityscapes train ids."""

import sys
from dataclasses import replace
from pathlib import Path

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg_uda.errors import UserError, run_cli
from tools.convert_datasets._command import parse


def main(argv: list[str] | None = None) -> None:
    """Run the command: every city's folder below ROOT."""
    args = parse(argv, __doc__, 'Labels/Test')
    from mmseg_uda.preparation.conversion import convert_label_images
    from mmseg_uda.preparation.raw_labels import CROSS_CITY

    cities = sorted(folder.parents[1] for folder in Path(args.root).glob('*/Images/Test'))
    if not cities:
        raise UserError(f'{args.root}: no <City>/Images/Test in it; see data/README.md')
    for city in cities:
        jpg = any((city / 'Images/Test').glob('*.jpg'))
        dataset = CROSS_CITY if jpg else replace(CROSS_CITY, image_suffix='.png')
        out = Path(args.out_dir, city.name) if args.out_dir else None
        convert_label_images(dataset, str(city), args.gt_dir, out and str(out), args.nproc)


if __name__ == '__main__':
    run_cli(main)
