"""Test the newest whole checkpoint in a work dir: mIoU, and predictions as palette PNGs in preds/.

The work dir is that of `mmseg-uda run` (of its trainings, the one that wrote last) or of
`mmseg-uda train`. Further options are those of `mmseg-uda test`. Relative paths, those of the data
in the config too, start at the current folder.
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
