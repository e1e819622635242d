# SePiCo, DistCL, DeepLabV2, ResNet-101, SYNTHIA to Cityscapes.
# Derived: figures are published, but no config; all settings are those of GTA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/synthia_to_cityscapes_640x640.py',
    '../_base_/models/deeplabv2_r101_projection.py',
    '../_base_/uda/sepico.py',
    '../_base_/schedules/adamw_poly10warm_40k.py',
]
model = dict(segmentor={{_base_.segmentor}})
randomness = dict(seed=76)
train_cfg = dict(val_interval=1000)
