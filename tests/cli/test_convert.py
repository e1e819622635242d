"""The conversion commands as a user runs them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.parametrize('name', ['gta', 'synthia', 'cityscapes', 'mapillary', 'crosscity'])
def test_help_and_wrong_root(name, tmp_path):
    script = ROOT / 'tools/convert_datasets' / f'{name}.py'
    assert '--nproc' in run(script, '--help', cwd=tmp_path).stdout
    result = run(script, tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith('error: ') and result.stderr.count('\n') == 1


def test_paths_in_the_statistics_start_with_the_root_as_given(tmp_path):
    (tmp_path / 'data/gta/labels').mkdir(parents=True)
    Image.fromarray(np.full((4, 4), 7, np.uint8)).save(tmp_path / 'data/gta/labels/00001.png')
    script = ROOT / 'tools/convert_datasets/gta.py'
    result = run(script, 'data/gta', '--nproc', 2, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert '100%' in result.stderr
    stats = (tmp_path / 'data/gta/samples_with_class.json').read_text()
    assert '"data/gta/labels/00001_labelTrainIds.png"' in stats


def test_runs_as_a_module_and_checks_nproc(tmp_path):
    assert run('-m', 'tools.convert_datasets.gta', '--help').returncode == 0
    result = run('-m', 'tools.convert_datasets.gta', tmp_path, '--nproc', 0)
    assert result.returncode == 2 and '--nproc 0' in result.stderr


def test_cross_citys_cities(tmp_path):
    for city in ('Rio', 'Rome'):
        for folder, size in (('Images/Test/a.jpg', (4, 6, 3)), ('Labels/Test/a_eval.png', (4, 6))):
            (tmp_path / city / folder).parent.mkdir(parents=True)
            pixels = np.full(size, 24 if city == 'Rio' else 255, np.uint8)
            Image.fromarray(pixels).save(tmp_path / city / folder)
    script = ROOT / 'tools/convert_datasets/crosscity.py'
    result = run(script, tmp_path, '--nproc', 1)
    assert result.returncode == 0, result.stderr
    for city, train_id in (('Rio', 11), ('Rome', 255)):
        with Image.open(tmp_path / city / 'Labels/Test/a_eval_labelTrainIds.png') as label:
            assert (np.asarray(label) == train_id).all()
    (tmp_path / 'Rome/Images/Test/a.jpg').unlink()
    (tmp_path / 'Rome/Images/Test/b.png').touch()
    result = run(script, tmp_path, '--nproc', 1)
    assert result.returncode == 2 and 'has no counterpart' in result.stderr
