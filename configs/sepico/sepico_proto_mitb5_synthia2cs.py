# SePiCo, ProtoCL, DAFormer, MiT-B5, SYNTHIA to Cityscapes.
# Derived: figures are published, but no config; all settings are those of GTA to Cityscapes.
_base_ = './sepico_dist_mitb5_synthia2cs.py'
model = dict(contrast=dict(variant='proto'))
