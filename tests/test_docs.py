"""The generated tables of the pages."""

from docs import tables


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
