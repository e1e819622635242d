# Cityscapes without labels as whole images of 1024 x 512; tested on its validation images.
target = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train'),
    pipeline=[dict(type='FixedResize', size=(1024, 512)), dict(type='PackDomain')],
)
test_set = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='Resize',
            scale=(1024, 512),
            keep_ratio=False,
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
