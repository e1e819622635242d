# SePiCo, ProtoCL, DeepLabV2, ResNet-101, GTA to Cityscapes.
_base_ = './sepico_dist_dlv2_gta2cs.py'
model = dict(contrast=dict(variant='proto'))
