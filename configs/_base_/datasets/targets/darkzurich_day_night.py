# Dark Zurich by night without labels, each with a day image of the same place; resized to 720
# rows and not cropped: the method chooses the crops by its pseudo-labels. Tested on its 50 labelled
# images; the labels of `server_set` are only on the test server.
target = dict(
    type='DarkZurichDayNightDataset',
    data_root='data/dark_zurich',
    data_prefix=dict(img_path='rgb_anon/train/night'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(1280, 720), crop_size=None),
        dict(type='LoadDayPartner', scale=(1280, 720)),
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
        dict(type='Resize', scale=(1280, 720), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
server_set = dict(
    type='DarkZurichDataset',
    data_root='data/dark_zurich',
    data_prefix=dict(img_path='rgb_anon/test/night'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(1280, 720), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
