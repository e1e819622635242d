# SDCA, stage 2: adaptation. VGG-16, GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/gta_to_cityscapes_whole.py',
    '../_base_/models/sdca_vgg16_lovasz.py',
    '../_base_/uda/sdca.py',
    '../_base_/schedules/sgd_poly_40k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
source_pipeline = [
    dict(type='FixedResize', size=(1280, 720)),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='BlurThree', sigma=(0.1, 2.0)),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
total_batch_size = 4
default_hooks = dict(checkpoint=dict(interval=1000, keep=40))
