from dataclasses import replace

import pytest

from mmseg_uda import config
from mmseg_uda.errors import UserError
from mmseg_uda.experiments import table
from mmseg_uda.experiments.recipes import of_config, row, sdca, train
from mmseg_uda.experiments.table import by_id, find_experiment, load_table


def test_ids_and_names_are_unique():
    experiments = load_table()
    names = [experiment.name for experiment in experiments.values()]
    assert len(set(names)) == len(names) and names[0] == 'demo'
    assert all(id == experiment.id for id, experiment in experiments.items())


@pytest.mark.parametrize(('change', 'both'), [({'name': 'other'}, '20'), ({'id': 900}, 'hrda_')])
def test_two_experiments_with_one_id_or_name_are_refused(change, both):
    experiments = load_table()
    with pytest.raises(UserError, match=f'are both {both}'):
        by_id([*experiments.values(), replace(experiments[20], **change)])


def test_experiments_are_found_by_id_and_name():
    assert find_experiment('demo') is find_experiment('0') is load_table()[0]


def test_the_working_folder_has_the_first_table(tmp_path, monkeypatch):
    (tmp_path / 'experiments.py').write_text(
        'from mmseg_uda.experiments.recipes import row\n'
        "TABLE = (row(7, 'daformer/daformer_mitb5_gta2cs', 'mine'),)\n"
    )
    monkeypatch.chdir(tmp_path)
    load_table.cache_clear()
    try:
        assert list(load_table()) == [7] and load_table()[7].method == 'mine'
        (tmp_path / 'experiments.py').write_text('TABLE = 1 / 0')
        load_table.cache_clear()
        with pytest.raises(UserError, match='experiments.py cannot be read: ZeroDivisionError'):
            load_table()
    finally:
        load_table.cache_clear()


def test_an_installed_package_has_a_table_of_its_own(tmp_path, monkeypatch):
    (tmp_path / 'repository').mkdir()
    (tmp_path / 'repository/experiments.py').write_text('TABLE = ()')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, 'FOLDERS', (tmp_path / 'empty', tmp_path / 'repository'))
    assert config.find_file(table.FILE) == tmp_path / 'repository/experiments.py'


def test_a_published_figure_belongs_to_the_last_stage():
    experiment = row(1, 'sdca/sdca_r101_gta2cs', 'm', 50, mIoU13=60)
    assert dict(experiment.stages[-1].published) == {'mIoU': 50, 'mIoU13': 60}
    assert not experiment.stages[0].published and experiment.published['mIoU'] == 50
    assert not row(1, 'sdca/sdca_r101_gta2cs', 'm', recipe=train).published


def test_other_stages_have_published_figures_too():
    earlier = {'test_source': {'mIoU13': 30}}
    experiment = row(1, 'sdca/sdca_r101_gta2cs', 'm', 50, sdca, earlier=earlier)
    assert {s.name: dict(s.published) for s in experiment.stages if s.published} == {
        'test_source': {'mIoU13': 30},
        'test_ssl': {'mIoU': 50},
    }
    with pytest.raises(UserError, match=r"unknown stages \['test_sorce'\]"):
        row(1, 'sdca/sdca_r101_gta2cs', 'm', 50, sdca, earlier={'test_sorce': {'mIoU': 1}})


def test_a_row_tells_network_and_domains_by_its_config():
    experiment = row(1, 'toy/hrda_r18_toyhr_game2city', 'HRDA')
    assert experiment.network == 'ResNet-18, half width'
    assert experiment.domains == 'toy game → toy city'
    assert experiment.name == 'hrda_r18_toyhr_game2city'


def test_a_config_alone_is_trained_and_tested():
    training, test = of_config('a/b.py').stages
    assert (training.kind, test.kind) == ('train', 'test')
    assert test.options['checkpoint'] == '{train.checkpoint}'


def test_a_shared_stage_is_the_same_in_every_experiment():
    shared = {}
    for experiment in load_table().values():
        for stage in experiment.stages:
            if stage.shared:
                what = (stage.kind, stage.config, stage.options, stage.call, stage.outputs)
                shared.setdefault(stage.shared, []).append((experiment.id, what))
    assert all(what == stages[0][1] for stages in shared.values() for _, what in stages)
    assert [id for id, _ in shared['source_only_mitb0_toy_game2city']] == [0, 117]
