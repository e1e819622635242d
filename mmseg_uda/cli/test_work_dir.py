"""Test the newest whole checkpoint in a work dir: mIoU, and predictions as palette PNGs in preds/.

The work dir is that of `run_experiments.py` (of its trainings, the one that wrote last) or of
`tools/train.py`. Further options are those of `tools/test.py`. Relative paths, those of the data
in the config too, start at the current folder.
"""

import argparse
from pathlib import Path

from mmseg_uda.engine.work_dir import last_checkpoint
from mmseg_uda.errors import UserError, run_cli
from mmseg_uda.files import looked_in


def training_folder(work_dir: Path) -> Path:
    """Where the newest checkpoint is: the work dir itself or a folder in it.

    Raises:
        UserError: there is no such work dir, or no checkpoint.
    """
    if not work_dir.is_dir():
        raise UserError(f'work dir {work_dir} does not exist{looked_in(work_dir)}')
    folders = [work_dir, *(path for path in work_dir.iterdir() if path.is_dir())]
    newest = [path for folder in folders if (path := last_checkpoint(folder))]
    if not newest:
        raise UserError(
            f'{work_dir} and the folders in it hold no checkpoint (iter_<n>.pth): train first, or '
            'give a work dir of a training'
        )
    return max(newest, key=lambda path: path.stat().st_mtime_ns).parent


def config_of(folder: Path) -> Path:
    """The config that a training left in its folder.

    Raises:
        UserError: there is none, or several.
    """
    found = sorted(folder.glob('*.py'))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise UserError(
            f'{folder} must hold one config beside its checkpoints, it holds {names}: '
            'use tools/test.py CONFIG CHECKPOINT'
        )
    return found[0]


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s [-h] WORK_DIR [options of tools/test.py]',
        allow_abbrev=False,
    )
    parser.add_argument('work_dir', metavar='WORK_DIR', type=Path)
    args, options = parser.parse_known_args(argv)
    folder = training_folder(args.work_dir)
    config = config_of(folder)

    import mmseg_uda.register  # noqa: F401 - first: it keeps the libraries' remarks off the screen
    from mmseg_uda.cli import test
    from mmseg_uda.engine.runner import newest_checkpoint

    checkpoint, _ = newest_checkpoint(folder)
    print(f'config:     {config}\ncheckpoint: {checkpoint}')
    shown = ['--show-dir', str(folder / 'preds'), '--opacity', '1']
    test.main([str(config), str(checkpoint), '--eval', 'mIoU', *shown, *options])


if __name__ == '__main__':
    run_cli(main)
