# Cityscapes without labels, at its own size; its margins show the camera's own car and artefacts of
# rectification. Tested on its validation images.
target = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train'),
    pipeline=[
        dict(
            type='LabelFirstCrop',
            scale=(2048, 1024),
            crop_size=(1024, 1024),
            margins=[30, 240, 30, 30],  # top, bottom, left, right
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
test_set = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
