# Nighttime Driving: 50 coarsely labelled night images; for `tools/test.py --test-set`.
test_set = dict(
    type='NightDrivingDataset',
    data_root='data/night_driving',
    data_prefix=dict(
        img_path='leftImg8bit/test/night', seg_map_path='gtCoarse_daytime_trainvaltest/test/night'
    ),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(1280, 720), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
