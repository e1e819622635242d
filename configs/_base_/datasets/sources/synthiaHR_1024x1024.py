# SYNTHIA, resized to 1520 rows.
source = dict(
    type='SYNTHIADataset',
    data_root='data/synthia',
    data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
    pipeline=[
        dict(
            type='LabelFirstCrop',
            scale=(2560, 1520),
            crop_size=(1024, 1024),
            cat_max_ratio=0.75,
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
