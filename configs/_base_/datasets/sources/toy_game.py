# Toy world, game look: files like those of GTA, made by tools/make_toy_world.py.
source = dict(
    type='GTADataset',
    data_root='data/toy/gta',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(256, 128), crop_size=(128, 256), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
