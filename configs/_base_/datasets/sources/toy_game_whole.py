# Toy world, game look, as whole images.
source = dict(
    type='GTADataset',
    data_root='data/toy/gta',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[dict(type='FixedResize', size=(256, 128)), dict(type='PackDomain')],
)
