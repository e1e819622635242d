# Toy world: city look with its labels, the oracle. The files are made by tools/make_toy_world.py.
crop_size = (128, 256)
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(256, 128), crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 128), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    pin_memory=True,
    sampler=dict(type='PositionSampler', batch_size=4),
    collate_fn=dict(type='collate_domains'),
    dataset=dict(
        type='SourceTargetDataset',
        seed=0,
        source=dict(
            type='CityscapesDataset',
            data_root='data/toy/cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=source_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root='data/toy/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegmentationMetric')
test_evaluator = val_evaluator
