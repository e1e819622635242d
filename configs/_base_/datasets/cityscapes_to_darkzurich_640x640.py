# Cityscapes (labelled) to Dark Zurich by night as in SePiCo: each night image comes with one of the
# same place by day. Target images are not cropped: the method chooses their crops.
crop_size = (640, 640)
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 640), crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
target_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 720), crop_size=None),
    dict(type='LoadDayPartner', scale=(1280, 720)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1280, 720), keep_ratio=True),
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
            type='CityscapesDataset',
            data_root='data/cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='DarkZurichDayNightDataset',
            data_root='data/dark_zurich',
            data_prefix=dict(img_path='rgb_anon/train/night'),
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(
            data_root='data/cityscapes', class_temp=0.01, min_pixels=3000, min_crop_ratio=0.5
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichDataset',
        data_root='data/dark_zurich',
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        pipeline=test_pipeline,
    ),
)
# The test set, whose labels are on a server: predictions for it are made with --format-only.
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichDataset',
        data_root='data/dark_zurich',
        data_prefix=dict(img_path='rgb_anon/test/night'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='SegmentationMetric')
test_evaluator = val_evaluator
