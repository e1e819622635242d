# GTA as whole images of 1280 x 720.
source = dict(
    type='GTADataset',
    data_root='data/gta',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[dict(type='FixedResize', size=(1280, 720)), dict(type='PackDomain')],
)
