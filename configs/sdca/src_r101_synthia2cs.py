# SDCA, stage 1: supervised on the source, with the Lovász loss. ResNet-101, SYNTHIA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/synthia16_to_cityscapes_whole.py',
    '../_base_/models/sdca_r101_lovasz_16.py',
    '../_base_/uda/source_only.py',
    '../_base_/schedules/sgd_poly_20k.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
train_dataloader = dict(dataset=dict(target=None))  # no target image is read
total_batch_size = 8
default_hooks = dict(checkpoint=dict(interval=1000, keep=20))
