from pathlib import Path

from mmseg_uda.datasets.labels import CLASSES
from mmseg_uda.datasets.source_labels import absent_classes
from mmseg_uda.datasets.source_target import SourceTargetDataset
from mmseg_uda.datasets.statistics import CLASS_STATS
from tests.datasets.test_domain import write_source


def test_absent_classes_are_those_of_no_data_set(tmp_path):
    """Known only if the statistics of every data set list all its labels."""
    sources = [
        write_source(tmp_path / 'one', [[0, 1], [2, 255]]),
        write_source(tmp_path / 'two', [[3, 4], [5, 6]]),
    ]
    assert absent_classes(SourceTargetDataset(sources).source) == list(CLASSES[7:])
    assert absent_classes(SourceTargetDataset(sources[:1]).source) == list(CLASSES[3:])
    Path(tmp_path / 'two' / CLASS_STATS).unlink()
    assert absent_classes(SourceTargetDataset(sources).source) == []
    assert absent_classes(SourceTargetDataset(sources[:1]).source) == list(CLASSES[3:])
