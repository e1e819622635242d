# Cityscapes with its labels, resized to 640 rows.
source = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=[
        dict(type='LabelFirstCrop', scale=(1280, 640), crop_size=(640, 640), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDomain'),
    ],
)
