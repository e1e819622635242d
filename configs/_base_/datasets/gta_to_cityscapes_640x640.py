# GTA (labelled) to Cityscapes as in SePiCo: crops of 640 x 640 of the source. Target images are not
# cropped: the method chooses their crops by their pseudo-labels.
crop_size = (640, 640)
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 720), crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
target_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 640), crop_size=None),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1280, 640), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='PositionSampler', batch_size=2),
    collate_fn=dict(type='collate_domains'),
    dataset=dict(
        type='SourceTargetDataset',
        seed=0,
        source=dict(
            type='GTADataset',
            data_root='data/gta',
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='CityscapesDataset',
            data_root='data/cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train'),
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(
            data_root='data/gta', class_temp=0.01, min_pixels=3000, min_crop_ratio=0.5
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root='data/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegmentationMetric')
test_evaluator = val_evaluator
