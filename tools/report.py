#!/usr/bin/env python
"""Compare tested runs: a table of their scores and a picture of their predictions.

A run is NAME=FOLDER/scores.json, as tools/test.py --eval mIoU wrote it, with its predictions in
FOLDER/predictions (tools/test.py --show-dir FOLDER/predictions --opacity 1). Writes report.md,
report.json and comparison.png.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config whose test set the runs were tested on')
    parser.add_argument('runs', nargs='+', metavar='NAME=SCORES', help='runs to compare, in order')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the files')
    parser.add_argument('--images', type=int, default=4, metavar='N', help='default: 4')
    arguments = parser.parse_args(argv)
    if arguments.images < 1:
        parser.error(f'--images {arguments.images}: at least one image is needed')
    runs = [run.partition('=') for run in arguments.runs]
    if wrong := [name for name, _, path in runs if not name or not path]:
        parser.error(f'{wrong[0] or "a run"}: write NAME=SCORES')
    arguments.runs = {name: Path(path) for name, _, path in runs}
    return arguments


def main(argv: list[str] | None = None) -> int | None:
    arguments = parse_arguments(argv)

    from mmseg_uda.evaluation.comparison import comparison_rows, markdown, read_scores
    from mmseg_uda.files import atomic_write, save_json

    scores = {name: read_scores(path) for name, path in arguments.runs.items()}
    table = markdown(comparison_rows(scores))
    picture = draw(arguments.config, arguments.runs, arguments.images)
    out = Path(arguments.out)
    with atomic_write(out / 'comparison.png') as file:
        picture.save(file, format='png')
    with atomic_write(out / 'report.md', 'w') as file:
        file.write(f'IoU in percent\n\n{table}\n![comparison](comparison.png)\n')
    save_json(out / 'report.json', {'runs': scores})
    print(table)
    print(f'table:   {out / "report.md"} (and report.json)')
    print(f'picture: {out / "comparison.png"}')
    return None


def draw(config_path: str, runs: dict[str, Path], count: int) -> Any:
    """Images spread evenly over the test set: image, truth and each run's prediction.

    Raises:
        UserError: a prediction or an image is missing or damaged.
    """
    import numpy as np
    from mmengine.registry import init_default_scope

    from mmseg_uda.datasets.image_files import read_image, read_values
    from mmseg_uda.datasets.segmentation import build_dataset
    from mmseg_uda.engine.experiment import locate
    from mmseg_uda.engine.train import load_config
    from mmseg_uda.evaluation.comparison import coloured, comparison_picture
    from mmseg_uda.evaluation.export import output_names

    config = load_config(locate(config_path))
    init_default_scope(config.get('default_scope', 'mmseg'))
    dataset = build_dataset(config.test_dataloader.dataset)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    names = output_names([info['img_path'] for info in infos])
    palette = dataset.metainfo['palette']
    rows = []
    for index in np.linspace(0, len(infos) - 1, min(count, len(infos))).round().astype(int):
        files = [path.parent / 'predictions' / f'{names[index]}.png' for path in runs.values()]
        if missing := [file for file in files if not file.is_file()]:
            raise UserError(
                f'{missing[0]} does not exist; test again with '
                f'--show-dir {missing[0].parent} --opacity 1'
            )
        labels = [read_values(file) for file in (infos[index]['seg_map_path'], *files)]
        image = read_image(infos[index]['img_path'])[..., ::-1]
        rows.append([image, *(coloured(label, palette) for label in labels)])
    return comparison_picture(['image', 'truth', *runs], rows)


if __name__ == '__main__':
    run_cli(main)
