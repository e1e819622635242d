# FADA, adaptation of a network that was trained on the source. ResNet-101, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_whole.py',
    '../_base_/models/fada_r101.py',
    '../_base_/uda/fada.py',
    '../_base_/schedules/sgd_poly_40k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
optim_wrapper = dict(
    _delete_=True,
    constructor='JointOptimWrapperConstructor',
    student={{_base_.optim_wrapper}},
    discriminator={{_base_.discriminator}},
)
param_scheduler = dict(
    _delete_=True,
    student={{_base_.param_scheduler}},
    discriminator={{_base_.discriminator_schedule}},
)
source_pipeline = [
    dict(type='FixedResize', size=(1280, 720)),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
total_batch_size = 4
default_hooks = dict(checkpoint=dict(interval=2000, keep=20))
