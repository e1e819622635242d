# Cross-City, Rio, as whole images of 1024 x 512; tested on 100 images of 2048 x 1024.
target = dict(
    type='CrossCityDataset',
    data_root='data/crosscity',
    data_prefix=dict(img_path='Rio/Images/Train'),
    pipeline=[dict(type='FixedResize', size=(1024, 512)), dict(type='PackDomain')],
)
test_set = dict(
    type='CrossCityDataset',
    data_root='data/crosscity',
    data_prefix=dict(img_path='Rio/Images/Test', seg_map_path='Rio/Labels/Test'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='Resize',
            scale=(2048, 1024),
            keep_ratio=False,
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
