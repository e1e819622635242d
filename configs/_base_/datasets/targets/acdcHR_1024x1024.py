# ACDC (fog, night, rain, snow) without labels, at its own size.
target = dict(
    type='ACDCDataset',
    data_root='data/acdc',
    data_prefix=dict(img_path='rgb_anon/train'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(1920, 1080), crop_size=(1024, 1024)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
test_set = dict(
    type='ACDCDataset',
    data_root='data/acdc',
    data_prefix=dict(img_path='rgb_anon/val', seg_map_path='gt/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(1920, 1080), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
