# Dark Zurich by night without labels, at its own size; tested on its 50 labelled images.
target = dict(
    type='DarkZurichDataset',
    data_root='data/dark_zurich',
    data_prefix=dict(img_path='rgb_anon/train/night'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(1920, 1080), crop_size=(1024, 1024)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
test_set = dict(
    type='DarkZurichDataset',
    data_root='data/dark_zurich',
    data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(1920, 1080), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
