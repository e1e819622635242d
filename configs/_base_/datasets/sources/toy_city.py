# Toy world, city look with its labels.
source = dict(
    type='CityscapesDataset',
    data_root='data/toy/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(256, 128), crop_size=(128, 256), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
