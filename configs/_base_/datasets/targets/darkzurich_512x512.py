# Dark Zurich by night without labels, resized to 540 rows; tested on its 50 labelled images.
target = dict(
    type='DarkZurichDataset',
    data_root='data/dark_zurich',
    data_prefix=dict(img_path='rgb_anon/train/night'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(960, 540), crop_size=(512, 512)),
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
        dict(type='Resize', scale=(960, 540), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
