# Cityscapes with its labels, at its own size.
source = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=[
        dict(
            type='LabelFirstCrop',
            scale=(2048, 1024),
            crop_size=(1024, 1024),
            cat_max_ratio=0.75,
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
