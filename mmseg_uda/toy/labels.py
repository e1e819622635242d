"""Names, ids and colours of the toy world's labels."""

import numpy as np

# The 19 evaluated classes in train-id order: Cityscapes (= GTA) label id, SYNTHIA id, RGB colour.
_CLASSES = {
    'road': (7, 3, (128, 64, 128)),
    'sidewalk': (8, 4, (244, 35, 232)),
    'building': (11, 2, (70, 70, 70)),
    'wall': (12, 21, (102, 102, 156)),
    'fence': (13, 5, (190, 153, 153)),
    'pole': (17, 7, (153, 153, 153)),
    'traffic light': (19, 15, (250, 170, 30)),
    'traffic sign': (20, 9, (220, 220, 0)),
    'vegetation': (21, 6, (107, 142, 35)),
    'terrain': (22, 16, (152, 251, 152)),
    'sky': (23, 1, (70, 130, 180)),
    'person': (24, 10, (220, 20, 60)),
    'rider': (25, 17, (255, 0, 0)),
    'car': (26, 8, (0, 0, 142)),
    'truck': (27, 18, (0, 0, 70)),
    'bus': (28, 19, (0, 60, 100)),
    'train': (31, 20, (0, 80, 100)),
    'motorcycle': (32, 12, (0, 0, 230)),
    'bicycle': (33, 11, (119, 11, 32)),
}
# Labels that are not evaluated: Cityscapes label id, RGB colour.
_VOID = {
    'unlabeled': (0, (0, 0, 0)),
    'ego vehicle': (1, (0, 0, 0)),
    'static': (4, (0, 0, 0)),
    'dynamic': (5, (111, 74, 0)),
    'ground': (6, (81, 0, 81)),
    'parking': (9, (250, 170, 160)),
    'rail track': (10, (230, 150, 140)),
    'license plate': (-1, (0, 0, 142)),
}

CLASSES = tuple(_CLASSES)
IGNORE = 255
CROSS_CITY_13 = [0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]  # train ids labelled in Cross-City

_IDS = {name: row[0] for name, row in _CLASSES.items()}
_IDS |= {name: row[0] for name, row in _VOID.items()}


def label_id(name: str) -> int:
    """Return the Cityscapes label id of a label name; ``persongroup`` etc. count as their class."""
    return _IDS[name.removesuffix('group')]


def _table(rows: dict[int, int], default: int) -> np.ndarray:
    table = np.full(256, default, np.uint8)
    for index, value in rows.items():
        table[index] = value
    return table


#: (256,) uint8: Cityscapes label id -> train id (255 = ignore), and -> SYNTHIA class id (0 = void)
TRAIN_IDS = _table({row[0]: train for train, row in enumerate(_CLASSES.values())}, IGNORE)
SYNTHIA_IDS = _table({row[0]: row[1] for row in _CLASSES.values()}, 0)

#: (256, 3) uint8: RGB colour of each Cityscapes label id
COLOURS = np.zeros((256, 3), np.uint8)
for _id, *_, _colour in (*_CLASSES.values(), *_VOID.values()):
    if _id >= 0:
        COLOURS[_id] = _colour
