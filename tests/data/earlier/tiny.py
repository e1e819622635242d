channels_last = False
compile = False
custom_hooks = [
    dict(type='ProgressBarHook'),
    dict(interval=100, type='PicturePanelHook'),
]
custom_imports = dict(
    allow_failed_imports=False,
    imports=[
        'mmseg_uda.register',
    ],
)
default_hooks = dict(
    checkpoint=dict(interval=2, keep=2, type='ExactCheckpointHook'),
    logger=dict(interval=1, log_metric_by_epoch=False, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    runtime_info=dict(type='DeferredLossHook'),
    sampler_seed=None,
    timer=dict(type='IterTimerHook'),
)
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
)
load_from = None
log_level = 'INFO'
log_processor = dict(
    by_epoch=False, mean_pattern='.*(loss|acc|time|data_time|grad_norm).*', window_size=50
)
model = dict(
    alpha=0.99,
    blur=False,
    data_preprocessor=dict(type='UDADataPreProcessor'),
    jitter_strength=0.2,
    jitter_threshold=0.2,
    parts=dict(
        mic=dict(alpha=0.9, block_size=16, mode='separatetrg', ratio=0.7, type='MaskedConsistency')
    ),
    segmentor=dict(
        average='valid',
        backbone=dict(
            base_channels=2,
            contract_dilation=True,
            depth=18,
            dilations=(
                1,
                1,
                2,
                4,
            ),
            norm_cfg=dict(num_groups=2, requires_grad=True, type='GN'),
            num_stages=4,
            out_indices=(3,),
            stem_channels=4,
            strides=(
                1,
                2,
                1,
                1,
            ),
            style='pytorch',
            type='ResNetV1c',
        ),
        decode_head=dict(
            align_corners=True,
            dilations=(
                1,
                3,
                6,
            ),
            in_channels=16,
            in_index=0,
            num_classes=19,
            random_bias=True,
            type='DLV2Head',
        ),
        test_cfg=dict(direct=True, mode='whole'),
        type='Segmentor',
    ),
    threshold=0.8,
    type='SelfTraining',
)
optim_wrapper = dict(
    constructor='UDAOptimWrapperConstructor',
    optimizer=dict(
        betas=(
            0.9,
            0.999,
        ),
        lr=0.001,
        type='AdamW',
        weight_decay=0.01,
    ),
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
    type='OptimWrapper',
)
param_scheduler = [
    dict(by_epoch=False, type='WarmupPolyLR', warmup_iters=1),
]
randomness = dict(deterministic=False, seed=0)
runner_type = 'UDARunner'
source = dict(
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    data_root='data/toy/gta',
    pipeline=[
        dict(
            cat_max_ratio=0.75,
            crop_size=(
                128,
                256,
            ),
            scale=(
                256,
                128,
            ),
            type='LabelFirstCrop',
        ),
        dict(prob=0.5, type='RandomFlip'),
        dict(type='PackDomain'),
    ],
    type='GTADataset',
)
target = dict(
    data_prefix=dict(img_path='leftImg8bit/train'),
    data_root='data/toy/cityscapes',
    pipeline=[
        dict(
            crop_size=(
                128,
                256,
            ),
            scale=(
                256,
                128,
            ),
            type='LabelFirstCrop',
        ),
        dict(prob=0.5, type='RandomFlip'),
        dict(type='PackDomain'),
    ],
    type='CityscapesDataset',
)
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        data_root='world/cityscapes',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        type='CityscapesDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=False, type='DefaultSampler'),
)
test_evaluator = dict(type='SegmentationMetric')
test_set = dict(
    data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    data_root='data/toy/cityscapes',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            keep_ratio=True,
            scale=(
                256,
                128,
            ),
            type='Resize',
        ),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ],
    type='CityscapesDataset',
)
train_cfg = dict(max_iters=2, type='IterBasedTrainLoop', val_interval=2)
train_dataloader = dict(
    batch_size=2,
    collate_fn=dict(type='collate_domains'),
    dataset=dict(
        rare_class_sampling=dict(
            class_temp=0.1, data_root='world/gta', min_crop_ratio=0.125, min_pixels=0
        ),
        seed=0,
        source=dict(
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            data_root='world/gta',
            pipeline=[
                dict(
                    cat_max_ratio=0.75,
                    crop_size=(
                        32,
                        64,
                    ),
                    scale=(
                        160,
                        80,
                    ),
                    type='LabelFirstCrop',
                ),
                dict(prob=0.5, type='RandomFlip'),
                dict(type='PackDomain'),
            ],
            type='GTADataset',
        ),
        target=dict(
            data_prefix=dict(img_path='leftImg8bit/train'),
            data_root='world/cityscapes',
            pipeline=[
                dict(
                    cat_max_ratio=0.75,
                    crop_size=(
                        32,
                        64,
                    ),
                    scale=(
                        160,
                        80,
                    ),
                    type='LabelFirstCrop',
                ),
                dict(prob=0.5, type='RandomFlip'),
                dict(type='PackDomain'),
            ],
            type='CityscapesDataset',
        ),
        type='SourceTargetDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    pin_memory=True,
    sampler=dict(batch_size=2, type='PositionSampler'),
)
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        data_root='world/cityscapes',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        type='CityscapesDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=False, type='DefaultSampler'),
)
val_evaluator = dict(type='SegmentationMetric')
visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
    ],
)
