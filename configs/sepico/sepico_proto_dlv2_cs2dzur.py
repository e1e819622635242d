# SePiCo, ProtoCL, DeepLabV2, ResNet-101, Cityscapes to Dark Zurich.
# Derived: figures are published, but no config; the DistCL config with the other loss.
_base_ = './sepico_dist_dlv2_cs2dzur.py'
model = dict(contrast=dict(variant='proto'))
