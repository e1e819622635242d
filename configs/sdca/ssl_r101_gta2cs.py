# SDCA, stage 3: a new network learns the pseudo-labels. ResNet-101, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/cityscapes_pseudo_labels.py',
    '../_base_/models/sdca_r101_bn.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/sgd_poly_20k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
source_pipeline = [
    dict(type='ScaleCrop', scales=(0.5, 1.5), crop_size=(512, 1024)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='BlurThree', sigma=(0.1, 2.0)),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
sync_bn = 'torch'
total_batch_size = 8
default_hooks = dict(checkpoint=dict(interval=1000, keep=20))
