"""Label spaces: the 19 Cityscapes classes, and tables that map other ids to them.

*Train ids* are 0..18 in the order of :data:`CLASSES`; 255 means "ignore". Each ``*_TO_TRAIN`` table
has an entry for every id that is allowed in a raw label file.
"""

CLASSES = (
    'road',
    'sidewalk',
    'building',
    'wall',
    'fence',
    'pole',
    'traffic light',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'rider',
    'car',
    'truck',
    'bus',
    'train',
    'motorcycle',
    'bicycle',
)

#: RGB colour of each class in pictures, as Cityscapes publishes them.
PALETTE = [
    [128, 64, 128],
    [244, 35, 232],
    [70, 70, 70],
    [102, 102, 156],
    [190, 153, 153],
    [153, 153, 153],
    [250, 170, 30],
    [220, 220, 0],
    [107, 142, 35],
    [152, 251, 152],
    [70, 130, 180],
    [220, 20, 60],
    [255, 0, 0],
    [0, 0, 142],
    [0, 0, 70],
    [0, 60, 100],
    [0, 80, 100],
    [0, 0, 230],
    [119, 11, 32],
]

#: Label value of pixels without a class.
IGNORE = 255

#: Number of values of an 8-bit label: the size of look-up tables by label.
LABEL_VALUES = 256

#: Classes of countable objects, for the ImageNet feature distance (DAFormer).
THING_CLASSES = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]

#: Classes of which results from SYNTHIA are reported: 16 (all but terrain, truck, train), and 13
#: (also without wall, fence, pole).
SYNTHIA_16 = [train_id for train_id in range(19) if train_id not in (9, 14, 16)]
SYNTHIA_13 = [train_id for train_id in SYNTHIA_16 if train_id not in (3, 4, 5)]

#: The classes of the Cross-City data set.
CROSS_CITY_13 = [0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]

_NAMES_BY_ID = (
    'unlabeled',
    'ego vehicle',
    'rectification border',
    'out of roi',
    'static',
    'dynamic',
    'ground',
    'road',
    'sidewalk',
    'parking',
    'rail track',
    'building',
    'wall',
    'fence',
    'guard rail',
    'bridge',
    'tunnel',
    'pole',
    'polegroup',
    'traffic light',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'rider',
    'car',
    'truck',
    'bus',
    'caravan',
    'trailer',
    'train',
    'motorcycle',
    'bicycle',
)

#: Label name in a Cityscapes polygon file -> label id.
CITYSCAPES_NAMES = {name: label_id for label_id, name in enumerate(_NAMES_BY_ID)}
CITYSCAPES_NAMES['license plate'] = -1

#: Cityscapes label id -> train id. Licence plates (-1) are not painted into label images.
CITYSCAPES_TO_TRAIN = {
    label_id: CLASSES.index(name) if name in CLASSES else IGNORE
    for name, label_id in CITYSCAPES_NAMES.items()
}
CITYSCAPES_TO_TRAIN[-1] = -1

#: Train id -> Cityscapes label id, as test servers require it.
TRAIN_TO_CITYSCAPES = {train_id: CITYSCAPES_NAMES[name] for train_id, name in enumerate(CLASSES)}

#: GTA label id -> train id: the Cityscapes ids. 34 is GTA's licence plate, 35..39 are unused.
GTA_TO_TRAIN = {label_id: CITYSCAPES_TO_TRAIN.get(label_id, IGNORE) for label_id in range(40)}

#: SYNTHIA (RAND-CITYSCAPES) id -> train id. The data set uses 0..22, the rest is unused.
SYNTHIA_TO_TRAIN = dict.fromkeys(range(30), IGNORE) | {
    3: 0,
    4: 1,
    2: 2,
    21: 3,
    5: 4,
    7: 5,
    15: 6,
    9: 7,
    6: 8,
    16: 9,
    1: 10,
    10: 11,
    17: 12,
    8: 13,
    18: 14,
    19: 15,
    20: 16,
    12: 17,
    11: 18,
}

#: Mapillary Vistas v1.2 id -> train id.
MAPILLARY_TO_TRAIN = dict.fromkeys(range(66), IGNORE) | {
    label_id: train_id
    for train_id, label_ids in enumerate(
        [
            (13, 24, 41),
            (2, 15),
            (17,),
            (6,),
            (3,),
            (45, 47),
            (48,),
            (50,),
            (30,),
            (29,),
            (27,),
            (19,),
            (20, 21, 22),
            (55,),
            (61,),
            (54,),
            (58,),
            (57,),
            (52,),
        ]
    )
    for label_id in label_ids
}
