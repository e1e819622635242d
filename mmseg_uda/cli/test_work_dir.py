"""Test the newest intact checkpoint of a work dir: mIoU, and predictions (palette PNGs) in preds/.

The work dir was made by `mmseg-uda train` or by `mmseg-uda run` (the training that wrote the newest
checkpoint is tested). Further options are passed to `mmseg-uda test`. Relative paths, also in the
config, are relative to the current folder.
"""

import argparse
from pathlib import Path

from mmseg_uda.cli import test
from mmseg_uda.engine.work_dir import config_of, training_folder
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s [-h] WORK_DIR [options of mmseg-uda test]',
        allow_abbrev=False,
    )
    parser.add_argument('work_dir', metavar='WORK_DIR', type=Path)
    args, options = parser.parse_known_args(argv)
    folder = training_folder(args.work_dir)
    config = config_of(folder)

    from mmseg_uda.engine.runner import newest_checkpoint

    checkpoint, _ = newest_checkpoint(folder)
    print(f'config:     {config}\ncheckpoint: {checkpoint}')
    shown = ['--show-dir', str(folder / 'preds'), '--opacity', '1']
    test.main([str(config), str(checkpoint), '--eval', 'mIoU', *shown, *options])


if __name__ == '__main__':
    run_cli(main)
