"""The generated tables of the pages."""

import importlib
import re
from pathlib import Path

from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from docs import tables
from mmseg_uda.engine.config import load_config
from mmseg_uda.experiments import recipes
from tests.uda.conftest import build, segmentor, uda_batch
from tests.uda.steps import optimiser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'


def test_tables_of_experiments_are_up_to_date(capsys):
    assert tables.main(['--check']) == 0, capsys.readouterr().out


def test_every_experiment_stands_in_a_table():
    shown = [int(row.split('|')[1]) for page in tables.pages() for row in _rows(page.read_text())]
    assert set(shown) == set(tables.load_table())


def _rows(text: str) -> list[str]:
    blocks = (match[0] for match in tables.BLOCK.finditer(text))
    return [
        line for block in blocks for line in block.splitlines() if line[:3].strip('| ').isdigit()
    ]


def test_ranges_and_figures():
    ids = [experiment.id for experiment in tables.select('36, 1-3, 9')]
    assert ids == [36, 1, 2, 3]
    row = tables.table(tables.select('43')).splitlines()[-1]
    assert '| 43.5, 50.3 (13 classes) |' in row and '`sdca/sdca_vgg16_synthia2cs.py`' in row
    row = tables.table(tables.select('53')).splitlines()[-1]
    assert '| 52.6 (16 classes), 36.3 (16 classes) (test_abn) |' in row


def blocks(page: str) -> list[str]:
    return re.findall(r'^```python\n(.*?)^```', (DOCS / page).read_text(), re.M | re.S)


def test_the_worked_examples_train(tmp_path, monkeypatch):
    """The files of docs/add_a_method.md, put where a user's own modules may be."""
    sources = [block for block in blocks('add_a_method.md') if 'register_module' in block]
    for number, source in enumerate(sources):
        (tmp_path / f'worked_example_{number}.py').write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for number in range(len(sources)):
        importlib.import_module(f'worked_example_{number}')
    addons = dict(entropy=dict(type='TargetEntropy'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        config = dict(type='PlainSelfTraining', segmentor=segmentor(), addons=addons)
        try:
            method = build(config)
            logs = method.backward_passes(method.begin(uda_batch()), optimiser(method))
        finally:
            for name in ('TargetEntropy', 'PlainSelfTraining'):
                MODELS.module_dict.pop(name)
    assert {'decode.loss_seg', 'tgt.decode.loss_seg', 'entropy.loss'} < logs.keys()


def test_the_worked_example_s_config_and_row(tmp_path):
    _, _, _, config, row = blocks('add_a_method.md')
    path = tmp_path / 'plain_self_training_mitb0_toy_game2city.py'
    path.write_text(config.replace("'./", f"'{ROOT}/configs/toy/"))
    model = load_config(path).model
    assert model.type == 'PlainSelfTraining' and model.segmentor.type == 'Segmentor'
    (experiment,) = eval(row, dict(row=recipes.row, toy=recipes.toy))
    assert experiment.config == f'configs/toy/{path.name}'
