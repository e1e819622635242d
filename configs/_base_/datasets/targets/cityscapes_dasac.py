# Cityscapes without labels as in DA-SAC's last stage: four views of each image, the clean ones for
# the teacher, the noisy ones for the student. Tested on the validation images at their own size.
#
# Published snapshots were selected by the mIoU on 500 labelled training images of the target (list
# val2_cityscapes, resized to 1024 x 512). To select by them: save_best='mIoU' in
# default_hooks.checkpoint, and as the data set of val_dataloader
#     dict(type='FileListDataset', data_root='data', ann_file='val2_cityscapes.txt',
#          data_prefix=dict(seg_map_path=''), pipeline=[
#              dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
#              dict(type='Resize', scale=(1024, 512), keep_ratio=False, backend='pillow'),
#              dict(type='PackSegInputs')])
# (the first stage: dict(type='CenterCrop', crop_size=(640, 640)) instead of the resizing).
noise = [
    dict(type='PILBlur', radius=(0.1, 2.0)),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(type='PILColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        ],
    ),
    dict(type='PILGrayscale', prob=0.2),
]
target = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train'),
    pipeline=[
        dict(type='LoadScaled', size=(1024, 512), scales=(1.0, 1.1)),
        dict(type='PaddedCrop', crop_size=(512, 1024)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='MakeViews', number=4, zoom=(0.5, 1.0), noise=noise),
        dict(type='PackDomain'),
    ],
)
test_set = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
)
