# Toy world, city look without labels: files like those of Cityscapes.
target = dict(
    type='CityscapesDataset',
    data_root='data/toy/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(256, 128), crop_size=(128, 256)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
test_set = dict(
    type='CityscapesDataset',
    data_root='data/toy/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(256, 128), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
