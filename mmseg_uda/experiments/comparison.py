"""Comparison of tested runs: a table of their scores and a picture of their predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.config import locate
from mmseg_uda.errors import UserError


def compare(config: str, runs: Mapping[str, str | Path], out: str | Path, images: int = 4) -> None:
    """Write ``report.md``, ``report.json`` and ``comparison.png`` into ``out``; print the table.

    Args:
        config: its test set is the one that the runs were tested on.
        runs: name -> ``scores.json``, in order. A run's predictions are in ``predictions/`` beside
            it, as ``mmseg-uda test --show-dir .../predictions --opacity 1`` writes them.
        out: folder.
        images: number of images in the picture, spread evenly over the test set.

    Raises:
        UserError: scores, a prediction or an image is missing or damaged.
    """
    from mmseg_uda.evaluation.comparison import comparison_rows, markdown, read_scores
    from mmseg_uda.files import atomic_write, save_json

    runs = {name: Path(path) for name, path in runs.items()}
    scores = {name: read_scores(path) for name, path in runs.items()}
    table = markdown(comparison_rows(scores))
    picture = _draw(config, runs, images)
    out = Path(out)
    with atomic_write(out / 'comparison.png') as file:
        picture.save(file, format='png')
    with atomic_write(out / 'report.md', 'w') as file:
        file.write(f'IoU in percent\n\n{table}\n![comparison](comparison.png)\n')
    save_json(out / 'report.json', {'runs': scores})
    print(table)
    print(f'table:   {out / "report.md"} (and report.json)')
    print(f'picture: {out / "comparison.png"}')


def _draw(config_path: str, runs: Mapping[str, Path], count: int) -> Any:
    """A picture with a row for each image: the image, the truth and each run's prediction."""
    import numpy as np
    from mmengine.registry import init_default_scope

    from mmseg_uda.datasets.image_files import read_image, read_values
    from mmseg_uda.datasets.segmentation import build_dataset
    from mmseg_uda.engine.config import load_config
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
