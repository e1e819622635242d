# AdvSeg, DeepLabV2 with ResNet-101, GTA to Cityscapes, colour augmentation of the source.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_512x512.py',
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/uda/advseg.py',
    '../_base_/schedules/sgd_poly10warm_40k.py',
]
model = dict(segmentor={{_base_.segmentor}})
optim_wrapper = dict(
    _delete_=True,
    constructor='JointOptimWrapperConstructor',
    method={{_base_.optim_wrapper}},  # as published, it moves the discriminator too
    discriminator={{_base_.discriminator}},
)
param_scheduler = dict(
    _delete_=True,
    method={{_base_.param_scheduler}},
    discriminator={{_base_.discriminator_schedule}},
)
source_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 720), crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
