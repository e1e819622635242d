# GTA, resized to about 1440 rows.
source = dict(
    type='GTADataset',
    data_root='data/gta',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[
        dict(
            type='LabelFirstCrop',
            scale=(2560, 1440),
            crop_size=(1024, 1024),
            cat_max_ratio=0.75,
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
