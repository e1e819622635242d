# Cityscapes with its labels as whole images of 1024 x 512.
source = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=[dict(type='FixedResize', size=(1024, 512)), dict(type='PackDomain')],
)
