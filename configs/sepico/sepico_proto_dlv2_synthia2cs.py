# SePiCo, ProtoCL, DeepLabV2, ResNet-101, SYNTHIA to Cityscapes.
# Derived: figures are published, but no config; all settings are those of GTA to Cityscapes.
_base_ = './sepico_dist_dlv2_synthia2cs.py'
model = dict(contrast=dict(variant='proto'))
