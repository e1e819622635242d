# Toy world, city look without labels, as whole images.
target = dict(
    type='CityscapesDataset',
    data_root='data/toy/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train'),
    pipeline=[dict(type='FixedResize', size=(256, 128)), dict(type='PackDomain')],
)
test_set = dict(
    type='CityscapesDataset',
    data_root='data/toy/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
