# DACS as DAFormer's code trains it, DeepLabV2 with ResNet-101, SYNTHIA to Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/synthia_to_cityscapes_512x512.py',
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/adamw_poly10warm_40k.py',
]
model = dict(segmentor={{_base_.segmentor}})
