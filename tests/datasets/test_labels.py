from mmseg.datasets import CityscapesDataset

from mmseg_uda.datasets import labels


def test_classes_and_palette_are_those_of_cityscapes():
    assert CityscapesDataset.METAINFO['classes'] == labels.CLASSES
    assert CityscapesDataset.METAINFO['palette'] == labels.PALETTE


def test_every_table_reaches_its_classes():
    for table in (labels.CITYSCAPES_TO_TRAIN, labels.GTA_TO_TRAIN, labels.MAPILLARY_TO_TRAIN):
        assert set(table.values()) - {-1} == {*range(19), labels.IGNORE}
    assert set(labels.SYNTHIA_TO_TRAIN.values()) == {*range(19), labels.IGNORE}


def test_submission_ids_lead_back():
    for train_id, label_id in labels.TRAIN_TO_CITYSCAPES.items():
        assert labels.CITYSCAPES_TO_TRAIN[label_id] == train_id
    assert labels.TRAIN_TO_CITYSCAPES[0] == 7 and labels.TRAIN_TO_CITYSCAPES[18] == 33


def test_class_subsets():
    assert len(labels.SYNTHIA_16) == 16 and len(labels.SYNTHIA_13) == 13
    assert not {9, 14, 16} & set(labels.SYNTHIA_16)
    names = {labels.CLASSES[train_id] for train_id in labels.THING_CLASSES}
    assert 'traffic light' in names and 'bicycle' in names and 'road' not in names
